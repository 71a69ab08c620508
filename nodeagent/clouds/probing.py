"""Tries out what an endpoint keeps of its promises, with any driver, and leaves nothing behind."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from secrets import token_hex

import structlog

from multicloud.errors import McError
from nodeagent.clouds.contract import Abilities, Bucket, Object
from nodeagent.clouds.refusals import uri

_log = structlog.stdlib.get_logger(__name__)
NAME = ".multicloud-probe-"
BODY = b"multicloud tries out what this endpoint can do"
_NO_RANGE = "it has no ranged reads: nothing can be read from it"
_NO_PIN = (
    "it does not mind which state of an object is asked for: every read is checked by its etag"
)
_NO_ABSENT = (
    "it does not know put-if-absent: we look first, and two who write at one moment may both"
)
_NO_CHECKSUMS = "it takes bytes whose checksum is wrong: what was put is trusted to the connection"


class Tried(Enum):
    KEPT = "kept"
    BROKEN = "broken"


async def probe(
    bucket: Bucket, prefix: str, *, write: bool, spoilt: Callable[[str], Awaitable[Tried]] | None
) -> Abilities:
    """`spoilt` puts an object with a wrong checksum; None where the SDK proves it by itself.

    Without `write` only one object that is there already is looked at, and the rest is believed.
    """
    if not write:
        page = await bucket.page(prefix)
        found = next((item for item in page.objects if item.size_bytes > 1), None)
        ranged = found is None or await _reads_a_range(bucket, found)
        return Abilities(ranged, True, True, True, said=() if ranged else (_NO_RANGE,))
    key = f"{prefix}{NAME}{token_hex(8)}"
    bad = f"{key}-spoilt"
    try:
        begun_s = time.time()
        first = await bucket.put(key, _once(BODY), len(BODY), absent=False)
        clock_off_s = _outside(first.modified_unix_s, begun_s, time.time())
        ranged = await _reads_a_range(bucket, first)
        pinned = await _minds_the_state(bucket, first)
        absent = await _minds_what_is_there(bucket, key)
        checks = spoilt is None or await spoilt(bad) is Tried.KEPT
    finally:
        await bucket.delete(key)
        if spoilt is not None:
            await bucket.delete(bad)
    kept = ((ranged, _NO_RANGE), (pinned, _NO_PIN), (absent, _NO_ABSENT), (checks, _NO_CHECKSUMS))
    said = tuple(what for yes, what in kept if not yes)
    for what in said:
        _log.warning("cloud_lacks", bucket=uri(bucket.place, ""), what=what)
    return Abilities(ranged, pinned, absent, checks, clock_off_s, said)


def _outside(told_s: float, begun_s: float, ended_s: float) -> float:
    """How far a time lies outside of the span in which it must lie, by one clock."""
    return told_s - begun_s if told_s < begun_s else max(0.0, told_s - ended_s)


async def _reads_a_range(bucket: Bucket, found: Object) -> bool:
    try:
        return len(await _read(bucket, found, 1, 1)) == 1
    except McError as error:
        if error.reason in ("DAMAGE", "UNSUPPORTED"):
            return False
        raise


async def _minds_the_state(bucket: Bucket, first: Object) -> bool:
    await bucket.put(first.key, _once(BODY[::-1]), len(BODY), absent=False)
    try:
        await _read(bucket, first, 0, 1)
    except McError as error:
        if error.reason == "CHANGED":
            return True
        raise
    return False


async def _minds_what_is_there(bucket: Bucket, key: str) -> bool:
    try:
        await bucket.put(key, _once(BODY), len(BODY), absent=True)
    except McError as error:
        if error.reason == "ALREADY_EXISTS":
            return True
        if error.reason == "UNSUPPORTED":
            return False
        raise
    return False


async def _read(bucket: Bucket, found: Object, first: int, count: int) -> bytes:
    return b"".join([piece async for piece in bucket.read(found.key, found.pin, first, count)])


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
