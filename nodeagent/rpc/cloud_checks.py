"""What `mcctl check` says of the buckets of clouds that a node uses, tried out from that node."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from nodeagent.clouds.contract import Abilities, Bucket, Place
from nodeagent.config.model import Config
from nodeagent.rpc.checks import ERROR, OK, WARNING, finding
from nodeagent.store.bucket.making import place_of

BOUND_S = 8.0  # Whoever asks waits for all of it.
PLACES_AT_ONCE = 8
CLOCK_WARN_S = 5.0  # S3 refuses at 15 minutes, signed links of Azure at once.


class Clouds(Protocol):
    async def bucket(self, place: Place) -> Bucket: ...
    def places(self) -> list[tuple[Place, bool]]: ...


async def clouds(name: str, known: Clouds | None, config: Config) -> list[admin_pb2.Finding]:
    """A finding for each bucket that the configuration names or that is in use, and its lacks."""
    if known is None:
        return []
    wanted = {(place, ""): write for place, write in known.places()}
    wanted |= {place_of(entry): True for entry in config.bucket}
    room = asyncio.Semaphore(PLACES_AT_ONCE)

    async def one(place: Place, prefix: str, write: bool) -> list[admin_pb2.Finding]:
        async with room:
            return await _tried(name, known, place, prefix, write=write)

    tried = await asyncio.gather(*(one(*where, write) for where, write in wanted.items()))
    named = {place.endpoint for place, _ in wanted}
    untried = sorted(config.clouds.endpoints.keys() - named)
    return [found for some in tried for found in some] + [_untried(name, key) for key in untried]


async def _tried(
    name: str, known: Clouds, place: Place, prefix: str, *, write: bool
) -> list[admin_pb2.Finding]:
    at = f" at {place.endpoint}" if place.endpoint else ""
    subject = f"{name} -> {place.uri}{'/' if prefix else ''}{prefix}{at}"
    try:
        async with asyncio.timeout(BOUND_S):
            able = await (await known.bucket(place)).probe(prefix, write=write)
    except McError as error:
        return [finding("CLOUD_REFUSED", subject, ERROR, error.message, error.next)]
    except TimeoutError:
        what = f"it did not answer within {BOUND_S:g} s"
        remedy = "look at the url of the endpoint, and whether this node's firewall lets it out"
        return [finding("CLOUD_SILENT", subject, ERROR, what, remedy)]
    return list(_able(subject, able, write=write))


def _able(subject: str, able: Abilities, *, write: bool) -> Iterator[admin_pb2.Finding]:
    works = ["lists", "reads ranges"] if able.ranged_read else ["lists"]
    if write:
        works += ["writes", "deletes"]
        works += ["keeps put-if-absent"] if able.put_if_absent else []
        works += ["refuses wrong checksums"] if able.checksums else []
    yield finding("CLOUD_OK", subject, OK, ", ".join(works))
    for what in able.said:
        remedy = "nothing, if you can live with it; else use another endpoint, or its newer version"
        yield finding("CLOUD_LACKS", subject, WARNING, what, remedy)
    off_s = able.clock_off_s or 0.0
    if abs(off_s) > CLOCK_WARN_S:
        what = f"its clock and this machine's differ by {abs(off_s):.0f} s"
        remedy = "let this machine keep time with NTP: `timedatectl set-ntp true`"
        yield finding("CLOUD_CLOCK", subject, WARNING, what, remedy)


def _untried(name: str, endpoint: str) -> admin_pb2.Finding:
    what = "none of its buckets is named, so nothing was tried"
    remedy = f'name some: [clouds.endpoints.{endpoint}] reads = ["BUCKET"]'
    return finding("CLOUD_UNTRIED", f"{name} -> endpoint {endpoint}", WARNING, what, remedy)
