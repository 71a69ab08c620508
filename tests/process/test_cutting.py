"""However a file is cut, its records come out once and in order, whoever asks."""

import gzip
import io
import tarfile
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.core.pipeline.cut import CutRule, cut, parts_of
from nodeagent.core.pipeline.kinds import FileKind, by_content, by_name, resolve, stem
from nodeagent.core.pipeline.lines import Block, TooLong, lines, lines_of_range
from nodeagent.core.pipeline.source import BytesSource, pieces
from nodeagent.core.pipeline.streams import plain_pieces
from nodeagent.core.pipeline.tars import NoSample, Sample, key_and_kind, samples

LINE = st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"") + b"\n")
FILES = st.one_of(
    st.lists(LINE, max_size=12).map(b"".join),
    st.lists(st.sampled_from([b"", b"a", b"\r", b"\xff"]), max_size=12).map(b"\r\n".join),
    st.lists(st.sampled_from([b"", b"x" * 40]), max_size=6).map(b"\n".join),
)


def in_range(data: bytes, begin: int, end: int, block: int = 8, most: int = 64) -> list[bytes]:
    found = []
    for one in lines_of_range(
        BytesSource(data), begin, end, block_bytes=block, line_bytes_max=most
    ):
        assert isinstance(one, Block)
        assert data[one.offset_bytes :].startswith(one.data)
        assert one.data.endswith(b"\n") or one.offset_bytes + len(one.data) == len(data)
        found += split(one.data)
    return found


def split(data: bytes) -> list[bytes]:
    """Lines as this project means them: only a line feed ends one."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + [data.split(b"\n")[-1]] * bool(
        data.split(b"\n")[-1]
    )


@given(FILES, st.integers(1, 20), st.integers(1, 64))
@settings(max_examples=300, deadline=None)
def test_the_lines_of_all_ranges_are_the_lines_of_the_file(
    data: bytes, target: int, block: int
) -> None:
    rule = CutRule(target, "jsonl")
    found: list[bytes] = []
    for part in parts_of("a.jsonl", len(data), rule):
        found += in_range(data, part.offset_bytes, part.end, block)
    assert b"".join(found) == data
    assert found == split(data)


@given(FILES, st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_blocks_do_not_depend_on_how_the_bytes_arrive(
    data: bytes, sizes: list[int], block: int
) -> None:
    def arriving() -> list[bytes]:
        out, at, turn = [], 0, 0
        while at < len(data):
            out.append(data[at : at + sizes[turn % len(sizes)]])
            at += len(out[-1])
            turn += 1
        return out

    for span in (None, 7, 20):
        bounds = {"block_bytes": block, "line_bytes_max": 30}
        whole = list(lines([data], 0, span, **bounds))
        assert list(lines(arriving(), 0, span, **bounds)) == whole


def test_a_line_that_is_too_long_is_told_and_not_kept() -> None:
    data = b"short\n" + b"l" * 5000 + b"\nafter\n"
    found = list(
        lines_of_range(BytesSource(data), 0, len(data), block_bytes=16, line_bytes_max=1000)
    )
    assert [type(one) for one in found] == [Block, TooLong, Block]
    long = found[1]
    assert isinstance(long, TooLong)
    assert (long.offset_bytes, long.size_bytes, len(long.start)) == (6, 5001, 256)


def test_a_line_longer_than_many_ranges_belongs_to_the_first_of_them() -> None:
    data = b"a\n" + b"b" * 300_000 + b"\nc\n"
    found = [
        in_range(data, at, min(at + 1000, len(data)), 10, 1 << 20)
        for at in range(0, len(data), 1000)
    ]
    assert [len(lines) for lines in found] == [2] + [0] * (len(found) - 2) + [1]


@given(st.integers(0, 500), st.integers(1, 60))
def test_parts_cover_an_object_without_gap(size: int, target: int) -> None:
    parts = list(parts_of("x.bin", size, CutRule(target)))
    assert sum(part.size_bytes for part in parts) == size
    assert [part.offset_bytes for part in parts] == [i * target for i in range(len(parts))]
    assert [part.index for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part.size_bytes > 0 for part in parts) or size == 0


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 40), st.integers(1, 7))
def test_every_object_of_a_page_is_in_its_tasks_once_and_in_order(
    sizes: list[int], target: int, files: int
) -> None:
    page = [(f"f{i}", size) for i, size in enumerate(sizes)]
    rule = CutRule(target, pack_files_max=files)
    tasks = list(cut(page, rule))
    assert tasks == list(cut(iter(page), rule)), "a cut is a pure function"
    seen: dict[str, int] = {}
    for task in tasks:
        assert sum(part.size_bytes for part in task) <= target
        assert len(task) <= files
        for part in task:
            assert seen.get(part.path, 0) == part.offset_bytes
            seen[part.path] = part.end
    assert seen == dict(page)


def test_a_file_that_grew_keeps_its_first_ranges() -> None:
    before, after = (list(parts_of("a.jsonl", size, CutRule(64))) for size in (200, 260))
    assert [(p.offset_bytes, p.size_bytes) for p in before[:3]] == [
        (p.offset_bytes, p.size_bytes) for p in after[:3]
    ]


@pytest.mark.parametrize(
    ("path", "rule", "ranges"),
    [
        ("a.jsonl", CutRule(10, "auto"), 10),
        ("a.jsonl.gz", CutRule(10, "auto"), 1),
        ("a.jsonl.gz", CutRule(10, "raw"), 10),
        ("a.csv", CutRule(10, "csv"), 1),
        ("a.csv", CutRule(10, "auto", csv_lines=True), 10),
        ("a.parquet", CutRule(10, "auto"), 10),
        ("a.parquet", CutRule(10, "auto", whole_parquet=True), 1),
        ("a.tar", CutRule(10, "auto"), 10),
        ("nobody knows", CutRule(10, "auto"), 10),
    ],
)
def test_what_cannot_be_split_is_not(path: str, rule: CutRule, ranges: int) -> None:
    assert len(list(parts_of(path, 100, rule))) == ranges


def test_kinds_are_told_by_name_and_content() -> None:
    assert by_name("x/A.JSONL.GZ") == FileKind("jsonl", "gzip")
    assert by_name("x/a.tgz") == FileKind("tar", "gzip")
    assert by_name("x/a") == FileKind("")
    assert by_content(b'\xef\xbb\xbf {"a": 1}') == "jsonl"
    assert by_content(b"PAR1....") == "parquet"
    assert by_content(b"plain text, with { braces") == "raw"
    assert resolve("a.jsonl.gz", "auto", b'{"named": "wrongly"}') == FileKind("jsonl")
    assert resolve("a", "raw", gzip.compress(b"x")) == FileKind("raw"), "raw is never unpacked"
    assert resolve("a", "jsonl", gzip.compress(b"x")) == FileKind("jsonl", "gzip")
    assert [stem(p) for p in ("d/a.jsonl", "d/a.b.csv.zst", "d/a.tgz", "d/.csv", "d.x/a")] == [
        "d/a",
        "d/a.b",
        "d/a",
        "d/.csv",
        "d.x/a",
    ]


def compressed(kind: str, data: bytes) -> bytes:
    half = len(data) // 2
    if kind == "gzip":
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    one = zstandard.ZstdCompressor(write_checksum=True)
    return one.compress(data[:half]) + skippable + one.compress(data[half:])


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("data", [b"", b"x", b"line\n" * 700_000])
def test_compressed_data_of_several_members_is_read_whole(kind: str, data: bytes) -> None:
    packed = compressed(kind, data)
    for step in (1 if len(packed) < 5000 else 999, 1 << 20):
        arriving = (packed[i : i + step] for i in range(0, len(packed), step))
        plain = list(plain_pieces(kind, arriving))
        assert b"".join(plain) == data
        assert max(map(len, plain), default=0) <= 1 << 20


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compressed_data_that_was_cut_anywhere_is_broken_and_never_short(kind: str) -> None:
    whole = compressed(kind, bytes(range(256)) * 3)
    seen = set()
    for cut_at in range(1, len(whole)):
        with suppress(McError):
            seen.add(b"".join(plain_pieces(kind, [whole[:cut_at]])))
    # Only between two members a cut cannot be seen.
    assert seen <= {b"", (bytes(range(256)) * 3)[:384]}


def test_a_source_that_ends_early_is_broken() -> None:
    class Shrunk(BytesSource):
        size_bytes = 100

    with pytest.raises(McError, match="ends at byte 3"):
        list(pieces(Shrunk(b"abc")))


def archive(members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


LONG = "d/" + "n" * 150
MEMBERS = [
    ("d/a.jpg", b"j" * 700),
    ("d/a.cls", b"1"),
    ("d/b.jpg", b""),
    (f"{LONG}.seg.png", b"p" * 513),
    (f"{LONG}.json", b"{}"),
    ("ünï.txt", b"u"),
    ("readme", b"r"),
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("target", [1, 100, 512, 1500, 4096, 1 << 20])
def test_the_samples_of_all_ranges_are_the_samples_of_the_archive(form: int, target: int) -> None:
    data = archive(MEMBERS, form)
    found: list[Sample | NoSample] = []
    step = max(target, 64)
    for begin in range(0, len(data), step):
        found += samples(BytesSource(data), begin, begin + step, sample_bytes_max=1 << 20)
    assert [(s.key, s.files) for s in found if isinstance(s, Sample)] == [
        ("d/a", {"jpg": b"j" * 700, "cls": b"1"}),
        ("d/b", {"jpg": b""}),
        (LONG, {"seg.png": b"p" * 513, "json": b"{}"}),
        ("ünï", {"txt": b"u"}),
        ("readme", {"__data__": b"r"}),
    ]
    assert key_and_kind("x/.hidden") == ("x/.hidden", "__data__")


def test_a_sparse_member_is_unpacked_and_links_are_told() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sparse = tarfile.TarInfo("s.bin")
        body = b"2\n0\n3\n1000\n2\n".ljust(512, b"\0") + b"abcxy"
        sparse.size = len(body)
        sparse.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "s.bin",
            "GNU.sparse.realsize": "1002",
        }
        tar.addfile(sparse, io.BytesIO(body))
        link = tarfile.TarInfo("l.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "s.bin"
        tar.addfile(link)
    data = out.getvalue()
    found = list(samples(BytesSource(data), 0, len(data), sample_bytes_max=1 << 20))
    good = [one for one in found if isinstance(one, Sample)]
    assert [one.files for one in good] == [{"bin": b"abc" + bytes(997) + b"xy"}]
    assert [one.why for one in found if isinstance(one, NoSample)] == [
        "l.bin is a symbolic link, no data"
    ]


def test_a_sample_that_is_too_big_is_told_and_not_read() -> None:
    data = archive([("a.x", b"1" * 600), ("a.y", b"2" * 600), ("b.x", b"3")])
    found = list(samples(BytesSource(data), 0, len(data), sample_bytes_max=1000))
    assert [type(one) for one in found] == [NoSample, Sample]


def test_a_damaged_or_cut_archive_is_broken_and_never_short() -> None:
    whole = archive([(f"{i}.x", bytes([i]) * 600) for i in range(5)])
    for damaged in (
        whole[:1536] + b"\xff" * 512 + whole[2048:],  # The second member's header
        whole[: 1536 * 2 + 700],
        whole[: 1536 * 2 + 100],
        b"no archive" * 100,
    ):
        with pytest.raises(McError) as broken:
            list(samples(BytesSource(damaged), 0, 1 << 20, sample_bytes_max=1 << 20))
        assert broken.value.reason == "INPUT_BROKEN"
