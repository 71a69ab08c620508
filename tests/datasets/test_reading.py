"""Versions are read back bit for bit, whatever has become of some of their copies."""

import os

import pytest

from multicloud.errors import McError
from multicloud.v1 import read_pb2
from nodeagent.jobs.datasets.listing import listed
from tests.datasets.shelf import Shelf

MIB = 1 << 20
BIG = [os.urandom(3 * MIB + 17), os.urandom(MIB), b"end"]


async def read(trio: Shelf, where: str, path: bytes, *, by: int = 0, **ranged: int) -> bytes:
    reading = trio.datasets(by).reading
    name, _, version = where.partition("@")
    taken: list[bytes] = []

    async def give(piece: bytes) -> None:
        taken.append(bytes(piece))

    await reading.read(await reading.manifest(name, version), path, give, **ranged)
    return b"".join(taken)


async def test_files_come_back_whole_and_by_any_range_from_every_node(trio: Shelf) -> None:
    small = {b"dir/%03d" % n: [b"%d" % n * n] for n in range(50)}
    await trio.put("corpus", "1", {b"big": BIG, b"empty": [b""]})
    await trio.put("corpus", "2", small, packed=True)
    await trio.known_everywhere("corpus", "2")
    whole = b"".join(BIG)
    for by in range(3):
        assert await read(trio, "corpus@1", b"big", by=by) == whole
        assert await read(trio, "corpus@1", b"empty", by=by) == b""
        for path, (data,) in small.items():
            assert await read(trio, "corpus", path, by=by) == data
    edges = (0, 1, MIB - 1, MIB, 3 * MIB + 16, 3 * MIB + 17, len(whole) - 3, len(whole))
    for begin in edges:
        for size in (0, 1, 2 * MIB):
            end = min(len(whole), begin + size)
            found = await read(trio, "corpus@1", b"big", offset_bytes=begin, size_bytes=end - begin)
            assert found == whole[begin:end]


async def test_many_small_files_are_read_in_one_go_in_the_order_asked_for(trio: Shelf) -> None:
    small = {b"dir/%03d" % n: [b"%d" % n * n] for n in range(1, 300)} | {b"none": [b""]}
    await trio.put("tiny", "1", small, packed=True)
    await trio.known_everywhere("tiny", "1")
    paths = [b"none", *sorted(small, reverse=True)[:255]]
    for by in range(3):
        reading = trio.datasets(by).reading
        manifest = await reading.manifest("tiny")
        found = await reading.several(manifest, paths, MIB)
        assert found == [b"".join(small[path]) for path in paths]
    with pytest.raises(McError, match="no file missing"):
        await reading.several(manifest, [b"none", b"missing"], MIB)
    with pytest.raises(McError) as refused:
        await reading.several(manifest, paths, 1000)
    assert refused.value.reason == "TOO_LARGE"


async def test_a_node_without_copies_reads_from_the_others(trio: Shelf) -> None:
    record = await trio.put("away", "1", {b"big": BIG})
    await trio.known_everywhere("away", "1")
    trio.drop(2, *trio.chunks["away@1"], *(ref.id for ref in record.manifest))
    assert await read(trio, "away", b"big", by=2) == b"".join(BIG)


async def test_a_bad_copy_on_the_own_disk_is_passed_over(trio: Shelf) -> None:
    """In the middle: what was read before stays, and the next copy goes on."""
    await trio.put("flipped", "1", {b"big": BIG})
    trio.store(0).spoil(trio.chunks["flipped@1"][0], 2 * MIB)
    assert await read(trio, "flipped", b"big") == b"".join(BIG)


@pytest.mark.parametrize("bad", [0, 1])
async def test_a_bad_copy_of_a_peer_is_passed_over(trio: Shelf, bad: int) -> None:
    name = f"flipped-at-{bad}"
    record = await trio.put(name, "1", {b"big": BIG})
    await trio.known_everywhere(name, "1")
    trio.drop(2, *trio.chunks[f"{name}@1"], *(ref.id for ref in record.manifest))
    trio.store(bad).spoil(trio.chunks[f"{name}@1"][0], 2 * MIB)
    assert await read(trio, name, b"big", by=2) == b"".join(BIG)


@pytest.mark.parametrize("slow", [1, 2])
async def test_a_peer_that_is_late_is_not_waited_for(trio: Shelf, slow: int) -> None:
    name = f"late-at-{slow}"
    await trio.put(name, "1", {b"big": BIG})
    trio.drop(0, *trio.chunks[f"{name}@1"])
    trio.store(slow).free.clear()
    try:
        assert await read(trio, name, b"big") == b"".join(BIG)
    finally:
        trio.store(slow).free.set()


@pytest.mark.parametrize("closed", [1, 2])
async def test_a_node_that_takes_no_calls_is_passed_over(trio: Shelf, closed: int) -> None:
    name = f"closed-at-{closed}"
    await trio.put(name, "1", {b"big": BIG})
    trio.drop(0, *trio.chunks[f"{name}@1"])
    guard = trio.nodes[closed].node.api_guard
    guard.draining = True
    try:
        assert await read(trio, name, b"big") == b"".join(BIG)
    finally:
        guard.draining = False


async def test_a_chunk_that_nobody_has_is_named(trio: Shelf) -> None:
    await trio.put("lost", "1", {b"x": [b"1" * 100], b"y": [b"2" * 100]})
    await trio.known_everywhere("lost", "1")
    for number in range(3):
        trio.drop(number, trio.chunks["lost@1"][0])
    with pytest.raises(McError) as lost:
        await read(trio, "lost", b"x")
    assert lost.value.reason == "COPIES_MISSING"
    assert lost.value.facts["chunk"] == trio.chunks["lost@1"][0].hex()
    assert await read(trio, "lost", b"y") == b"2" * 100


async def test_what_is_not_there_is_said(trio: Shelf) -> None:
    await trio.put("one", "1", {b"a": [b"1"]})
    for where, path, word in (
        ("one@2", b"a", "versions: 1"),
        ("none", b"a", "no dataset"),
        ("one", b"b", "no file b"),
        ("../one", b"b", "no dataset|cannot be"),
    ):
        with pytest.raises(McError, match=word) as missing:
            await read(trio, where, path)
        assert missing.value.reason == "NOT_FOUND"
    with pytest.raises(McError, match="over the end"):
        await read(trio, "one", b"a", offset_bytes=1, size_bytes=1)


async def test_files_are_listed_by_prefix_and_from_a_path_on(trio: Shelf) -> None:
    names = [b"a", b"b/1", b"b/2", b"b/3", b"b\xff", b"c"]
    await trio.put("listed", "1", {name: [name] for name in names}, packed=True)
    manifest = await trio.datasets(0).reading.manifest("listed")

    async def some(prefix: bytes, delimiter: bytes = b"", begin: bytes = b"") -> list[bytes]:
        return [found.path async for found in listed(manifest, prefix, delimiter, begin)]

    assert await some(b"") == names
    assert await some(b"b/") == names[1:4]
    assert await some(b"b/", begin=b"b/1\0") == names[2:4]
    assert await some(b"b\xff") == [b"b\xff"]
    assert await some(b"d") == []
    assert await some(b"", b"/") == [b"a", b"b/", b"b\xff", b"c"]
    assert await some(b"", b"/", begin=b"b/2") == [b"b/", b"b\xff", b"c"]
    assert await some(b"", b"\xff") == [b"a", b"b/1", b"b/2", b"b/3", b"b\xff", b"c"]
    assert await some(b"b/", b"/") == names[1:4]


async def test_every_page_of_a_folded_listing_goes_on_where_the_last_one_ended(trio: Shelf) -> None:
    names = [b"a", *(b"f/%d" % n for n in range(50)), b"g/1", b"g/2", b"h"]
    await trio.put("folded", "1", {name: [name] for name in names}, packed=True)
    request = read_pb2.ListFilesRequest(name="folded", delimiter=b"/", page_size=1)
    found: list[bytes] = []
    while True:
        page = await trio.datasets(0).service.list_files(request, None)  # type: ignore[arg-type]
        found += [*(file.path for file in page.files), *page.folders]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == [b"a", b"f/", b"g/", b"h"]


async def test_a_shredded_dataset_is_read_by_nobody(trio: Shelf) -> None:
    await trio.put("secret", "1", {b"a": [b"1"]})
    await trio.known_everywhere("secret", "1")
    assert await read(trio, "secret", b"a", by=1) == b"1"
    removing = trio.datasets(0).service.removing
    await removing.remove("secret", "1", "shred-it", shred=True)
    with pytest.raises(McError, match="shredded"):
        await read(trio, "secret@1", b"a")
    key = trio.keys["secret"]
    with pytest.raises(McError) as gone:
        await trio.datasets(0).keyring.key(key.id)
    assert gone.value.reason == "KEY_MISSING"
    with pytest.raises(McError, match="does not come back"):
        await removing.restore("secret", "1", "back")
