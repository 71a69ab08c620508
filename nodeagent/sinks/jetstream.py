"""Events to a stream of NATS JetStream, which drops doubles. Only this file knows nats-py."""

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from nodeagent.clouds.credentials import Secret
from nodeagent.sinks.outbox import Letter

SEND_S = 10.0


@dataclass(slots=True)
class JetStream:
    servers: tuple[str, ...]
    topic: str
    secret: Secret
    tls: bool
    ca_file: Path | None
    _link: Any = field(default=None, repr=False)

    async def send(self, letter: Letter) -> None:
        from nats.errors import Error

        subject = f"{self.topic}.{letter.kind}"
        try:
            async with asyncio.timeout(2 * SEND_S):
                stream = (await self._opened()).jetstream(timeout=SEND_S)
                headers = {"Nats-Msg-Id": letter.name}
                await stream.publish(subject, letter.body, headers=headers)
        except (Error, OSError, TimeoutError) as error:
            await self.close()
            said = f"NATS at {', '.join(self.servers)}: {error or type(error).__name__}"
            advice = f"a stream has to take the subjects {self.topic}.>"
            raise McError("UNREACHABLE", said, next=advice) from error

    async def _opened(self) -> Any:
        import nats

        if self._link is None:
            more: dict[str, Any] = {}
            if self.tls:
                more["tls"] = ssl.create_default_context(cafile=self.ca_file)
            if self.secret.reference:
                more["user"], _, more["password"] = self.secret.read().strip().partition(":")
            scheme = "tls" if self.tls else "nats"
            self._link = await nats.connect(
                [f"{scheme}://{server}" for server in self.servers],
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,
                connect_timeout=int(SEND_S),
                error_cb=_told,
                **more,
            )
        return self._link

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()


async def _told(_error: Exception) -> None:
    """Whoever sends is told of it."""
