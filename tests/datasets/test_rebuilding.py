"""Versions whose decision is lost are found by their chunks alone, and stand again when asked."""

from collections.abc import Sequence

import pytest

from mcctl.rebuilding import chosen
from multicloud.errors import McError
from multicloud.v1 import read_pb2
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.datasets.rebuilding import Rebuilding
from tests.datasets.shelf import Shelf

LOST, STANDS = read_pb2.FOUND_STATE_UNDECIDED, read_pb2.FOUND_STATE_DECIDED


def rebuilding(one: Datasets) -> Rebuilding:
    return Rebuilding(one.versions, one.reading, one.store)


async def undecided(trio: Shelf, name: str, version: str) -> None:
    """Its chunks are everywhere, and nobody has decided it."""
    key = await trio.key_of(name)
    result = await trio._result([(b"x", b"what was written", 0)], key, 3)
    await trio._record(name, version, key, [result])


async def found(trio: Shelf, name: str) -> list[read_pb2.FoundManifest]:
    request = read_pb2.FindManifestsRequest()
    answers = rebuilding(trio.datasets(1)).find_manifests(request, None)  # type: ignore[arg-type]
    return [answer.found async for answer in answers if answer.found.name == name]


async def rebuilt(trio: Shelf, one: read_pb2.FoundManifest) -> read_pb2.RebuildVersionResponse:
    request = read_pb2.RebuildVersionRequest(found=one)
    return await rebuilding(trio.datasets(2)).rebuild_version(request, None)  # type: ignore[arg-type]


async def test_a_version_is_found_by_its_chunks_and_stands_again(trio: Shelf) -> None:
    await undecided(trio, "forgotten", "3")
    (one,) = await found(trio, "forgotten")
    assert (one.version, one.files, one.state) == ("3", 1, LOST)
    assert (await rebuilt(trio, one)).decided
    manifest = await trio.datasets(2).reading.manifest("forgotten", "3")
    data = bytearray()

    async def give(piece: bytes) -> None:
        data.extend(piece)

    await trio.datasets(2).reading.read(manifest, b"x", give)
    assert bytes(data) == b"what was written"
    register = await trio.datasets(2).council.get("dataset/forgotten")
    assert register.version
    assert not (await rebuilt(trio, one)).decided, "it stands, and is not decided twice"


async def test_what_was_removed_is_not_brought_back(trio: Shelf) -> None:
    await trio.put("gone", "1", {b"x": [b"old"]})
    await trio.datasets(1).service.removing.remove("gone", "1", "rm-gone", shred=False)
    (one,) = await found(trio, "gone")
    assert one.state == read_pb2.FOUND_STATE_REMOVED
    assert not (await rebuilt(trio, one)).decided
    with pytest.raises(McError, match="was removed"):
        await trio.datasets(1).versions.find("gone", "1")


async def test_what_is_said_of_a_manifest_is_not_believed(trio: Shelf) -> None:
    await undecided(trio, "honest", "1")
    (one,) = await found(trio, "honest")
    lie = read_pb2.FoundManifest()
    lie.CopyFrom(one)
    lie.name = "other"
    with pytest.raises(McError, match="is that of honest@1"):
        await rebuilt(trio, lie)
    lie.name, lie.files = "honest", 99
    await rebuilt(trio, lie)
    assert (await trio.datasets(2).versions.find("honest", "1")).files == 1


def test_of_a_manifest_that_was_written_twice_one_is_taken() -> None:
    def one(version: str, stored: int, chunk: bytes) -> read_pb2.FoundManifest:
        return read_pb2.FoundManifest(
            name="d", version=version, stored_unix_ms=stored, chunk_id=chunk
        )

    many: Sequence[read_pb2.FoundManifest] = [
        one("10", 1, b"a"),
        one("2", 1, b"b"),
        one("2", 2, b"c"),
    ]
    assert [(each.version, each.chunk_id) for each in chosen(many)] == [("2", b"c"), ("10", b"a")]
