"""Webhooks as Standard Webhooks has them: signed, and to addresses that were looked at."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError
from nodeagent.clouds.credentials import Secret
from nodeagent.jobs.sources.web.client import WebClient, shown
from nodeagent.sinks.contract import Gone
from nodeagent.sinks.outbox import Letter

PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
GONE, BUSY = 410, (429, 503)


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    secret: Secret
    client: WebClient
    clock_unix_s: Callable[[], float] = time.time

    async def send(self, letter: Letter) -> None:
        now_s = int(self.clock_unix_s())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": letter.name,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(key_of(self.secret), letter.name, now_s, letter.body),
        }
        async with self.client.asked(
            "POST", self.url, headers, body=letter.body, redirects_max=0
        ) as answer:
            status, after = answer.status, answer.headers.get("Retry-After", "")
        if status == GONE:
            raise Gone(f"{shown(self.url)} answered 410: it wants no more events")
        if not 200 <= status < 300:
            rest_s = float(after) if status in BUSY and after.isdecimal() else None
            said = f"{shown(self.url)} answered {status}"
            raise McError("UNREACHABLE", said, retry_after_s=rest_s)

    async def close(self) -> None:
        await self.client.close()


def signature(key: bytes, id_: str, unix_s: int, body: bytes) -> str:
    signed = b".".join((id_.encode(), str(unix_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def key_of(secret: Secret) -> bytes:
    """Read anew for each event: whoever renews the file renews it at once."""
    try:
        key = base64.b64decode(secret.read().strip().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise secret.malformed(f"{PREFIX} and {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes as base64")
    return key
