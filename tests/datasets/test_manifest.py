"""Manifests: what is written is what the results said, sorted, whole and checked."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from multicloud.v1 import common_pb2, records_pb2, task_pb2
from nodeagent.jobs.datasets import blocks
from nodeagent.jobs.datasets.manifest import Written, write_manifest
from nodeagent.wire.sealing import Plain

VECTORS = Path(__file__).parent.parent / "vectors"


class Kept:
    """The plain bytes of the manifest's chunks."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def __call__(self, place: int, plain: Plain, plain_bytes: int) -> common_pb2.ChunkRef:
        assert place == len(self.chunks)
        whole = b"".join([bytes(piece) async for piece in plain()])
        assert len(whole) == plain_bytes
        self.chunks.append(whole)
        return common_pb2.ChunkRef(id=bytes([place]) * 32, size_bytes=plain_bytes)

    def blocks(self) -> list[bytes]:
        whole = b"".join(self.chunks)
        step = blocks.BLOCK_BYTES
        return [whole[at : at + step] for at in range(0, len(whole), step)]


def head() -> records_pb2.ManifestHead:
    return records_pb2.ManifestHead(
        name="corpus", version="1", job="j" * 20, source="node://a/x", pipeline_toml='input = "raw"'
    )


def result(number: int, files: Sequence[tuple[bytes, int, bytes]]) -> task_pb2.TaskResult:
    """One chunk; (path, where the part belongs, its bytes) for each part."""
    size_bytes = sum(len(data) for *_, data in files)
    made = task_pb2.TaskResult(task=f"0.{number}.aa")
    made.chunks.add(
        id=number.to_bytes(32, "big"), sealed_bytes=size_bytes + 200, plain_bytes=size_bytes
    )
    start = 0
    for path, at_bytes, data in files:
        made.files.add(
            path=path, at_bytes=at_bytes, offset_bytes=start, size_bytes=len(data), origin=path,
            origin_etag="e", modified_unix_ms=5, mode=0o644, records=1, blake3=bytes(32),
        )  # fmt: skip
        start += len(data)
    return made


async def write(results: Sequence[task_pb2.TaskResult]) -> tuple[Written, Kept]:
    async def each() -> AsyncIterator[task_pb2.TaskResult]:
        for one in results:
            yield one

    kept = Kept()
    with TemporaryDirectory() as scratch:
        written = await write_manifest(head(), each(), kept, Path(scratch))
        assert not list(Path(scratch).iterdir())
    return written, kept


def read(kept: Kept) -> tuple[list[bytes], dict[bytes, list[records_pb2.FilePart]]]:
    """Chunk ids, and the parts of each file, by nothing but the format."""
    every = kept.blocks()
    whole = blocks.head_of(every[0])
    begin = blocks.files_begin(whole.chunks)
    ids = [chunk.id for block in every[1:begin] for chunk in blocks.chunks_of(block)]
    files: dict[bytes, list[records_pb2.FilePart]] = {}
    for block in every[begin:]:
        for file in blocks.files_of(block):
            assert blocks.goes_on(file) == (file.path in files)
            files.setdefault(file.path, []).extend(file.parts)
    assert whole.files == len(files)
    assert whole.chunks == len(ids)
    return ids, files


async def test_a_chunk_says_which_trace_its_writing_had() -> None:
    one, other = result(1, [(b"a", 0, b"A")]), result(2, [(b"b", 0, b"B")])
    one.traceparent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    _, kept = await write([one, other])
    (chunks,) = [list(blocks.chunks_of(block)) for block in kept.blocks()[1:2]]
    assert [chunk.trace.hex() for chunk in chunks] == ["ab" * 16 + "cd" * 8, ""]


async def test_files_come_by_path_with_their_parts_in_order() -> None:
    results = [
        result(1, [(b"b/\xff", 3, b"defg"), (b"a", 0, b"A")]),
        result(2, [(b"b/\xff", 0, b"abc"), (b"empty", 0, b"")]),
    ]
    written, kept = await write(results)
    ids, files = read(kept)
    assert ids == [(1).to_bytes(32, "big"), (2).to_bytes(32, "big")]
    assert list(files) == [b"a", b"b/\xff", b"empty"]
    parts = [(p.chunk, p.offset_bytes, p.size_bytes, p.at_bytes) for p in files[b"b/\xff"]]
    assert parts == [(1, 0, 3, 0), (0, 0, 4, 3)]
    assert not files[b"empty"]
    assert (written.head.files, written.head.bytes, written.head.records) == (3, 8, 4)


async def test_where_a_part_begins_is_counted_from_what_came_out() -> None:
    """Records were dropped: the places in the source only order the parts."""
    results = [result(1, [(b"x", 1000, b"22")]), result(2, [(b"x", 0, b"1")])]
    _, kept = await write(results)
    assert [p.at_bytes for p in read(kept)[1][b"x"]] == [0, 1]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=12), st.integers(0, 9), max_size=40),
    st.randoms(),
)
async def test_any_results_come_back(sizes: dict[bytes, int], rng: Random) -> None:
    pieces = [(path, at, b"x") for path, size in sizes.items() for at in range(size)]
    pieces += [(path, 0, b"") for path, size in sizes.items() if not size]
    rng.shuffle(pieces)
    step = rng.randint(1, 9)
    results = [
        result(number, pieces[at : at + step])
        for number, at in enumerate(range(0, len(pieces), step))
    ]
    _, kept = await write(results)
    ids, files = read(kept)
    assert {path: sum(p.size_bytes for p in parts) for path, parts in files.items()} == sizes
    for path, parts in files.items():
        assert [p.at_bytes for p in parts] == list(range(sizes[path]))
        for part in parts:
            number = int.from_bytes(ids[part.chunk], "big")
            named = results[number].files
            assert any((f.path, f.offset_bytes) == (path, part.offset_bytes) for f in named)


async def test_a_file_of_very_many_parts_goes_on_in_further_entries() -> None:
    count = 3 * blocks.FILE_PARTS_MAX + 1
    results = [result(number, [(b"huge", number, b"y")]) for number in range(count)]
    written, kept = await write(results)
    ids, files = read(kept)
    assert len(ids) == len(files[b"huge"]) == count
    assert written.head.files == 1


async def test_every_block_stands_alone_and_chunks_are_found_by_their_number() -> None:
    count = blocks.CHUNKS_PER_BLOCK + 5
    results = [result(number, [(b"%05d" % number * 40, 0, b"z")]) for number in range(count)]
    _, kept = await write(results)
    every = kept.blocks()
    assert {len(block) for block in every[:-1]} == {blocks.BLOCK_BYTES}
    second = blocks.chunks_of(every[2])
    assert second[0].id == blocks.CHUNKS_PER_BLOCK.to_bytes(32, "big")
    firsts = [blocks.files_of(block)[0].path for block in every[blocks.files_begin(count) :]]
    assert len(firsts) > 1
    assert firsts == sorted(firsts)


async def test_two_objects_never_become_one_file() -> None:
    results = [result(1, [(b"x", 0, b"1")]), result(2, [(b"x", 1, b"2")])]
    results[1].files[0].origin = b"another"
    with pytest.raises(McError, match="several objects"):
        await write(results)
    with pytest.raises(McError, match="begin at one place"):
        await write([result(1, [(b"x", 0, b"1")]), result(2, [(b"x", 0, b"2")])])


async def test_of_an_object_that_lacks_a_part_nothing_becomes_a_file() -> None:
    results = [result(1, [(b"x", 0, b"1"), (b"y", 0, b"1")]), result(2, [(b"z", 0, b"2")])]
    results[1].cut_short.add(path=b"x", reason="changed")
    results[1].skipped.add(path=b"gone", reason="gone")
    written, kept = await write(results)
    assert list(read(kept)[1]) == [b"y", b"z"]
    assert (written.head.files, written.head.bytes) == (2, 2)


async def test_a_result_that_names_what_it_has_not_is_refused() -> None:
    beyond = result(1, [(b"x", 0, b"1")])
    beyond.files[0].size_bytes = 2
    with pytest.raises(McError, match="behind the end"):
        await write([beyond])
    other = result(1, [(b"x", 0, b"1")])
    other.files[0].chunk = 1
    with pytest.raises(McError, match="a chunk that it does not have"):
        await write([other])


async def test_the_vector_of_the_format_page() -> None:
    """Bytes that any release writes and reads alike."""
    head_ = records_pb2.ManifestHead(format=1, name="d", version="1", files=1, chunks=1, bytes=1)
    chunk = records_pb2.ManifestChunk(id=bytes(range(32)), sealed_bytes=300, plain_bytes=1)
    file = records_pb2.ManifestFile(path=b"m", bytes=1, records=1)
    file.parts.add(size_bytes=1, blake3=bytes(range(32, 64)))
    whole = b"".join(blocks.encode(head_, [chunk], [file]))
    step = blocks.BLOCK_BYTES
    shown = [whole[at : at + step].rstrip(b"\0").hex() for at in range(0, len(whole), step)]
    assert shown == (VECTORS / "manifest.hex").read_text().split()
    assert blocks.files_of(whole[2 * step :]) == [file]


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x05abc", "goes over the end"),
        (b"\x03\xff\xff\xff", "does not read"),
        (b"\x00\x00x", "behind the end"),
        (b"\xff\xff\xff\x7f", "too long"),
    ],
)
def test_what_is_no_block_is_damage(block: bytes, why: str) -> None:
    with pytest.raises(McError, match=why) as found:
        blocks.decode(block)
    assert found.value.reason == "DAMAGE"
