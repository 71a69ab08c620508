"""Folders and files of this machine as sources, on a real file system with all that it may hold."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.contract import CHANGED, GONE, LINK, SPECIAL, UNREADABLE, SkippedObject
from nodeagent.jobs.sources.files import FileSource
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.walking import Walk

SHUT = "/proc/sys/vm/compact_memory"  # Even root only writes it.
Open = Callable[..., Coroutine[Any, Any, FileSource]]


@pytest.fixture
async def opening() -> AsyncIterator[Open]:
    threads = ThreadPoolExecutor(4)

    async def opened(path: Path, **more: Any) -> FileSource:
        return await FileSource.opened(os.fsencode(path), threads, **more)

    yield opened
    threads.shutdown()


async def pages(source: FileSource, size: int = 1000) -> list[task_pb2.ListingPage]:
    found = [await source.page("", size)]
    while not found[-1].last:
        found.append(await source.page(found[-1].cursor, size))
    return found


async def listed(source: FileSource, size: int = 1000) -> list[task_pb2.ListedObject]:
    return [one for page in await pages(source, size) for one in page.objects]


async def skipped(source: FileSource) -> dict[bytes, str]:
    return {one.path: one.reason for page in await pages(source) for one in page.skipped}


def asked(one: task_pb2.ListedObject) -> task_pb2.TaskInput:
    return task_pb2.TaskInput(path=one.path, etag=one.etag, size_bytes=one.size_bytes)


async def why(source: FileSource, one: task_pb2.TaskInput) -> str:
    with pytest.raises(SkippedObject) as caught:
        await source.read(one, 0, one.size_bytes)
    assert caught.value.path == one.path
    return caught.value.why


def tree(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


async def test_everything_is_listed_once_in_one_order_whatever_the_size_of_a_page(
    tmp_path: Path, opening: Open
) -> None:
    names = ("b/2", "b/10", "a", "b.txt", "c/d/e/f", "c/d.x", "b/x/1", "z", "b-")
    source = await opening(tree(tmp_path, *names))
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    once = await listed(source)
    assert sorted(one.path.decode() for one in once) == sorted(names)
    assert [one.path for one in once] == sorted(
        (one.path for one in once), key=lambda path: path.split(b"/")
    )
    for size in range(1, len(names) + 1):
        assert await listed(source, size) == once
        for one in await pages(source, size):
            other = await opening(tmp_path)  # Another process goes on from any place.
            found = [await each.page(one.cursor, 1000) for each in (other, source)]
            for each in found:
                each.ClearField("listed_unix_ms")  # Of the one or the other call.
            assert found[0] == found[1]


async def test_every_byte_of_every_range_is_read_as_it_was_listed(
    tmp_path: Path, opening: Open
) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "data").write_bytes(data)
    os.chmod(tmp_path / "data", 0o640)
    os.utime(tmp_path / "data", ns=(0, 1_700_000_000_123_000_000))
    source = await opening(tmp_path)
    (one,) = await listed(source)
    assert (one.size_bytes, one.mode, one.modified_unix_ms) == (5120, 0o640, 1_700_000_000_123)
    for begin, size in ((0, 5120), (0, 0), (5119, 1), (5120, 0), (100, 256)):
        assert await source.read(asked(one), begin, size) == data[begin : begin + size]
    with pytest.raises(SkippedObject, match="shorter"):
        await source.read(asked(one), 5119, 2)


async def test_a_file_is_a_source_of_one_object_by_the_name_that_was_given(
    tmp_path: Path, opening: Open
) -> None:
    tree(tmp_path, "store/blob", "store/other")
    (tmp_path / "set.jsonl").symlink_to("store/blob")
    source = await opening(tmp_path / "set.jsonl")
    (one,) = await listed(source, 1)
    assert one.path == b"set.jsonl"
    assert await source.read(asked(one), 0, one.size_bytes) == b"store/blob"
    with pytest.raises(McError, match="no object"):
        await source.read(task_pb2.TaskInput(path=b"other", etag=one.etag), 0, 1)


async def test_odd_names_are_listed_and_read(tmp_path: Path, opening: Open) -> None:
    names = [b"\xff\xfe", b"new\nline", b"%41", b"a b?#[*]", "ä€\U0001f600".encode(), b"-", b"..."]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    source = await opening(tmp_path)
    found = await listed(source, 1)
    assert [one.path for one in found] == sorted(names)
    for one in found:
        assert await source.read(asked(one), 0, one.size_bytes) == one.path
    (one,) = await listed(await opening(tmp_path, include=["?€*"]))
    assert one.path == "ä€\U0001f600".encode()


async def test_what_has_no_content_is_named_with_its_reason(tmp_path: Path, opening: Open) -> None:
    tree(tmp_path, "in/file", "in/shut/x", "out/secret")
    inside = tmp_path / "in"
    os.mkfifo(inside / "fifo")
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(inside / "socket"))
    made.close()
    for name, target in {
        "good": "file", "absolute": str(inside / "file"), "folder": "sub", "self": ".",
        "out": "../out/secret", "out2": str(tmp_path / "out/secret"), "nowhere": "missing",
        "circle1": "circle2", "circle2": "circle1", "up": "sub/../../in/file", "to-fifo": "fifo",
    }.items():  # fmt: skip
        (inside / name).symlink_to(target)
    (inside / "sub").mkdir()
    source = await opening(inside)
    found = {one.path: one for one in await listed(source)}
    assert sorted(found) == [b"absolute", b"file", b"good", b"shut/x"]
    for path in (b"absolute", b"good"):
        assert await source.read(asked(found[path]), 0, 7) == b"in/file"
    refused = await skipped(source)
    assert {refused.pop(b"fifo"), refused.pop(b"socket")} == {SPECIAL}
    assert set(refused.values()) == {LINK}
    assert sorted(refused) == sorted(
        [b"folder", b"self", b"out", b"out2", b"nowhere", b"circle1", b"circle2", b"up", b"to-fifo"]
    )


@pytest.mark.skipif(not os.path.exists(SHUT), reason="needs Linux")
async def test_a_file_that_nobody_may_read_is_skipped_by_name(opening: Open) -> None:
    folder, name = os.path.split(SHUT)
    source = await opening(Path(folder), include=[name])
    (one,) = await listed(source)
    assert await why(source, asked(one)) == UNREADABLE


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
async def test_what_may_not_be_read_is_named(tmp_path: Path, opening: Open) -> None:
    tree(tmp_path, "shut/x", "secret", "open")
    os.chmod(tmp_path / "shut", 0)
    os.chmod(tmp_path / "secret", 0)
    source = await opening(tmp_path)
    found = await listed(source)
    assert await skipped(source) == {b"shut": UNREADABLE}
    secret = next(one for one in found if one.path == b"secret")
    assert await why(source, asked(secret)) == UNREADABLE
    os.chmod(tmp_path / "shut", 0o700)


async def test_what_changed_or_went_after_it_was_listed_is_never_mixed(
    tmp_path: Path, opening: Open
) -> None:
    names = ("grown", "same-size", "replaced", "gone", "folder", "fifo", "link", "left/x")
    outside, tmp_path = tmp_path / "outside", tmp_path / "in"
    source = await opening(tree(tmp_path, *names))
    found = {one.path.decode(): asked(one) for one in await listed(source)}
    with (tmp_path / "grown").open("ab") as file:
        file.write(b"more")
    (tmp_path / "same-size").write_text("SAME-SIZE")
    os.utime(tmp_path / "same-size", ns=(1, 1))
    tree(tmp_path, "new")
    os.replace(tmp_path / "new", tmp_path / "replaced")
    for name in ("gone", "folder", "fifo", "link"):
        (tmp_path / name).unlink()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.rename(tmp_path / "left", outside)
    (tmp_path / "left").symlink_to(outside)
    told = {name: await why(source, one) for name, one in found.items()}
    assert told == {
        "grown": CHANGED, "same-size": CHANGED, "replaced": CHANGED, "gone": GONE,
        "folder": SPECIAL, "fifo": SPECIAL, "link": LINK, "left/x": LINK,
    }  # fmt: skip


async def test_nothing_but_what_was_listed_can_be_named(tmp_path: Path, opening: Open) -> None:
    source = await opening(tree(tmp_path / "in", "a"))
    tree(tmp_path, "out")
    for path in (b"../out", b"/etc/passwd", b"", b".", b"a/../a", b"a\0b", b"a//b"):
        with pytest.raises(McError) as caught:
            await source.read(task_pb2.TaskInput(path=path, etag="x"), 0, 1)
        assert caught.value.reason == "BAD_REQUEST"


async def test_empty_and_sparse_and_huge_files_are_what_they_are(
    tmp_path: Path, opening: Open
) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"in the middle")
    source = await opening(tmp_path)
    empty, huge = await listed(source)
    assert await source.read(asked(empty), 0, 0) == b""
    assert huge.size_bytes == 1 << 40
    assert await source.read(asked(huge), (1 << 39) - 1, 15) == b"\0in the middle\0"


async def test_globs_choose_and_an_excluded_folder_is_not_entered(
    tmp_path: Path, opening: Open
) -> None:
    names = ("a.txt", "b.log", "x/a.txt", "x/y/c.txt", ".git/a.txt", "x/.git/d.txt")
    tree(tmp_path, *names)
    (tmp_path / ".git" / "loop").symlink_to(".")

    async def chosen(**more: Any) -> list[str]:
        source = await opening(tmp_path, **more)
        assert not await skipped(source)
        return [one.path.decode() for one in await listed(source, 2)]

    assert await chosen(exclude=[".git/"]) == ["a.txt", "b.log", "x/a.txt", "x/y/c.txt"]
    assert await chosen(include=["*.txt"], exclude=[".git"]) == ["a.txt", "x/a.txt", "x/y/c.txt"]
    assert await chosen(include=["/*.txt"]) == ["a.txt"]
    assert await chosen(include=["x/**/*.txt"], exclude=["**/y/*"]) == ["x/.git/d.txt", "x/a.txt"]
    assert await chosen(include=["x/y"]) == ["x/y/c.txt"]
    assert await chosen(include=["[ab].*"], exclude=["[!a].log", ".git"]) == ["a.txt", "x/a.txt"]
    with pytest.raises(McError, match="no glob"):
        await opening(tmp_path, include=["/"])


async def test_beneath_a_root_no_link_leads_out_of_it(tmp_path: Path, opening: Open) -> None:
    tree(tmp_path, "root/set/a", "root/real/b", "out/secret")
    (tmp_path / "root" / "leak").symlink_to("../out")
    (tmp_path / "root" / "also").symlink_to("real")
    root = os.fsencode(tmp_path / "root")
    also = await opening(Path("also"), root=root)
    assert [one.path for one in await listed(also)] == [b"b"]
    for path in ("leak", "leak/secret", "missing", "set/../../out"):
        with pytest.raises(McError) as caught:
            await opening(Path(path), root=root)
        assert caught.value.reason == "SOURCE_AWAY"
    # A folder that becomes a link out after it was opened.
    source = await opening(Path("set"), root=root)
    (one,) = await listed(source)
    os.rename(tmp_path / "root" / "set", tmp_path / "old")
    (tmp_path / "root" / "set").symlink_to(tmp_path / "old")
    with pytest.raises(McError) as caught:
        await source.read(asked(one), 0, 1)
    assert caught.value.reason == "SOURCE_AWAY"


async def test_a_source_that_is_not_there_is_away_and_comes_back(
    tmp_path: Path, opening: Open
) -> None:
    source = await opening(tree(tmp_path / "disk", "a"))
    (one,) = await listed(source)
    os.rename(tmp_path / "disk", tmp_path / "unmounted")
    for call in (source.page("", 10), source.read(asked(one), 0, 1)):
        with pytest.raises(McError) as caught:
            await call
        assert caught.value.reason == "SOURCE_AWAY"
    os.rename(tmp_path / "unmounted", tmp_path / "disk")
    assert await source.read(asked(one), 0, 1) == b"a"
    with pytest.raises(McError, match="neither a folder nor a file"):
        await opening(Path("/dev/null"))


async def test_a_folder_is_walked_in_parts_when_it_is_larger_than_memory_should_hold(
    tmp_path: Path,
) -> None:
    names = [b"%04d" % (number * 7919 % 1000) for number in range(1000)]
    for name in names:
        (tmp_path / name.decode()).touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        for most in (1, 7, 999, 1000, 1001):
            walk = Walk(fd, os.fsencode(tmp_path), Globs(), b"0500", most)
            assert [one.path for one in walk.entries()] == sorted(names)[501:]
            walk.close()
    finally:
        os.close(fd)


async def test_100_000_tiny_files_are_listed_page_by_page(tmp_path: Path, opening: Open) -> None:
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        fd = os.open(tmp_path / str(folder), os.O_RDONLY)
        for number in range(1000):
            os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
    source = await opening(tmp_path)
    seen = await pages(source, 5000)
    assert sum(len(page.objects) for page in seen) == 100_000
    assert len({one.path for page in seen for one in page.objects}) == 100_000
    assert max(len(page.objects) for page in seen) == 5000
