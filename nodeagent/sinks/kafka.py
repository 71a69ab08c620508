"""Events to a topic of Kafka: only this file knows aiokafka's producer."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from nodeagent.clouds.credentials import Secret
from nodeagent.sinks.outbox import Letter

SEND_MS = 10_000


@dataclass(slots=True)
class KafkaTopic:
    servers: tuple[str, ...]
    topic: str
    secret: Secret
    tls: bool
    ca_file: Path | None
    _producer: Any = field(default=None, repr=False)

    async def send(self, letter: Letter) -> None:
        from aiokafka.errors import KafkaError

        headers = [("id", letter.name.encode()), ("type", letter.kind.encode())]
        try:
            producer = await self._opened()
            await producer.send_and_wait(
                self.topic, letter.body, key=letter.name.encode(), headers=headers
            )
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            said = f"Kafka at {', '.join(self.servers)}: {error or type(error).__name__}"
            raise McError("UNREACHABLE", said) from error

    async def _opened(self) -> Any:
        from aiokafka import AIOKafkaProducer

        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=list(self.servers),
                acks="all",
                request_timeout_ms=SEND_MS,
                **self._safety(),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    def _safety(self) -> dict[str, Any]:
        safety: dict[str, Any] = {}
        if self.tls:
            safety["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.secret.reference:
            user, _, password = self.secret.read().strip().partition(":")
            safety |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": user}
            safety["sasl_plain_password"] = password
        mode = ("SASL_" if self.secret.reference else "") + ("SSL" if self.tls else "PLAINTEXT")
        return {**safety, "security_protocol": mode}

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
