"""Opening a volume in a bucket: whose it is, what its journal says, and what is really there."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from multicloud.errors import McError
from nodeagent.clouds import refusals as clouds
from nodeagent.clouds.contract import Bucket, Object
from nodeagent.store.bucket import records
from nodeagent.store.bucket.journal import Journal, listed, read_whole, whole
from nodeagent.store.bucket.layout import Keys
from nodeagent.store.bucket.objects import Kept, Objects
from nodeagent.store.contract import Evidence, Held
from nodeagent.store.local.index import Index, Known
from nodeagent.store.local.table import Binned, Table

FORMAT, FORMAT_VERSION = "multicloud bucket volume", 1


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to serve the volume."""

    node: str
    session: str  # Another one at each start.
    expected: str = ""  # The volume that was there before.
    adopt_from: str = ""  # The node that may have served it until now, and is gone.


@dataclass(slots=True)
class Opened:
    uuid: str
    journal: Journal
    objects: Objects
    index: Index
    table: Table = field(default_factory=Table)
    lost: list[Held] = field(default_factory=list)


async def open_volume(
    bucket: Bucket,
    keys: Keys,
    claim: Claim,
    *,
    index: Callable[[str], Index],
    new_uuid: Callable[[], str],
    clock: Callable[[], float],
) -> Opened:
    """`index` gives that of a volume's uuid."""
    uuid = await _identity(bucket, keys, claim.expected, new_uuid)
    journal = Journal(bucket, keys, claim.session)
    await journal.load()
    owner = journal.state.owner
    if owner not in ("", claim.node, claim.adopt_from):
        raise _wrong(
            bucket,
            keys,
            f"volume {uuid} is served by node {owner}",
            f'when that node is gone for good, set adopt_from = "{owner}" for this volume;'
            " else give this one a prefix of its own",
        )
    await journal.own(records.own(claim.node, claim.session, clock()))
    opened = Opened(uuid, journal, Objects(bucket, keys), index(uuid))
    await _list(bucket, keys, opened)
    return opened


async def _identity(bucket: Bucket, keys: Keys, expected: str, new_uuid: Callable[[], str]) -> str:
    found = await _read(bucket, keys)
    if not found and expected:
        raise _wrong(bucket, keys, f"volume {expected} is expected there and no volume is found")
    if not found:
        async for strange in listed(bucket, keys.chunks):
            raise _wrong(bucket, keys, f"{strange.key} is there and no volume.json")
        abilities = await bucket.probe(keys.prefix, write=True)
        if not abilities.put_if_absent:
            why = "it overwrites what is there, so two nodes could not be told apart"
            raise McError(
                "UNSUPPORTED",
                f"{bucket.place.uri} cannot be a volume: {why}",
                next="use an endpoint with conditional writes (If-None-Match)",
            )
        mark = {"format": FORMAT, "format_version": FORMAT_VERSION, "uuid": new_uuid()}
        data = json.dumps(mark, indent=1).encode() + b"\n"
        try:
            await bucket.put(keys.identity, whole(data), len(data), absent=True)
        except McError as error:
            if error.reason != "ALREADY_EXISTS":
                raise
        found = await _read(bucket, keys)
    if expected and found != expected:
        raise _wrong(bucket, keys, f"volume {expected} is expected there and {found} is found")
    return found


async def _read(bucket: Bucket, keys: Keys) -> str:
    """The volume's uuid; empty: there is no volume."""
    try:
        data = await read_whole(bucket, keys.identity)
    except McError as error:
        if error.reason != "NOT_FOUND":
            raise
        return ""
    try:
        mark = json.loads(data)
        version, uuid = mark["format_version"], str(mark["uuid"])
        known = mark["format"] == FORMAT and isinstance(version, int)
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(bucket, keys, "its volume.json does not read") from error
    if not known:
        raise _wrong(bucket, keys, "its volume.json is of something else")
    if version > FORMAT_VERSION:
        said = f"the volume there has format {version}, {FORMAT_VERSION} is known"
        raise McError("UNSUPPORTED", said, next="run the release that wrote it, or a newer one")
    return uuid


async def _list(bucket: Bucket, keys: Keys, opened: Opened) -> None:
    """What is there is the truth; the index knows only when it was stored and checked."""
    state, table, objects = opened.journal.state, opened.table, opened.objects
    known, living = opened.index.load(), list[Held]()
    evidence = {aside.key for aside in state.evidence.values()}
    newest: dict[bytes, Object] = {}
    async for item in listed(bucket, keys.chunks):
        found = keys.chunk_of(item.key)
        if found is None:
            table.mark_foreign(item.key, "not named as a chunk is")
            continue
        chunk_id, turn = found
        if item.key in evidence or item.key in state.doomed:
            objects.taken.add(item.key)
            continue
        kept = objects.kept.get(chunk_id)
        # Of two that are whole, the later was put because the earlier was not relied on.
        older = newest.get(chunk_id) if kept is None or kept.turn < turn else item
        if older is not None:
            objects.taken.add(older.key)
            state.doomed.add(older.key)
        if older is not item:
            objects.kept[chunk_id], newest[chunk_id] = Kept(turn, item.pin), item
    for chunk_id, item in newest.items():
        held = _held(opened.uuid, chunk_id, item, known.get(chunk_id))
        aside = state.trash.get(chunk_id)
        if aside is not None and aside.key == item.key:
            table.bin(Binned(held, aside.key, aside.unix_s, aside.why))
        else:
            living.append(held)
    table.fill(living)
    for name, aside in state.evidence.items():
        table.keep(Evidence(aside.chunk_id, name, aside.file_bytes, aside.unix_s, aside.why))
    for chunk_id, row in known.items():
        if chunk_id not in newest:
            opened.index.remove(chunk_id)
            times = (row.file_bytes, row.stored_unix_s, row.verified_unix_s)
            opened.lost.append(Held(chunk_id, opened.uuid, *times))


def _held(uuid: str, chunk_id: bytes, item: Object, known: Known | None) -> Held:
    if known is not None and known.file_bytes == item.size_bytes:
        times = known.stored_unix_s, known.verified_unix_s
    else:
        times = item.modified_unix_s, item.modified_unix_s
    return Held(chunk_id, uuid, item.size_bytes, *times)


def _wrong(bucket: Bucket, keys: Keys, why: str, next_: str = "") -> McError:
    where = clouds.uri(bucket.place, keys.prefix)
    said = f"{where} is not the volume that it should be: {why}"
    return McError("VOLUME_WRONG", said, next=next_ or "name another prefix for a new volume")
