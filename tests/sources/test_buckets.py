"""Buckets as sources, over the reference bucket: what is listed, from where it goes on, and what is
skipped; nothing is ever mixed.
"""

import asyncio
import hashlib
import os
import tracemalloc

import pytest

from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.regions import load
from multicloud.v1 import task_pb2
from nodeagent.clouds.contract import Object, Page, Place, Shape
from nodeagent.clouds.memory import MemoryBucket, MemoryClouds
from nodeagent.jobs.contract import CHANGED, GONE, NAME, UNREADABLE
from nodeagent.jobs.sources.buckets import BucketSource
from nodeagent.jobs.sources.nearest import costs, domain_of, place_of
from nodeagent.jobs.sources.uris import parse
from tests.sources.ground import objects, outcome, whole

PLACE = Place("s3", "corpus")


def filled(keys: dict[str, bytes], page_keys: int = 1000) -> MemoryBucket:
    bucket = MemoryBucket(PLACE, shape=Shape(page_keys=page_keys))
    for number, (key, data) in enumerate(keys.items()):
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        made = Object(key, len(data), f"pin-{number}", 1.5, (("md5", md5),))
        bucket.objects[key] = made, data
    return bucket


async def opened(bucket: MemoryBucket, uri: str, **globs: list[str]) -> BucketSource:
    return await BucketSource.opened(MemoryClouds(bucket), parse(uri), **globs)


async def paths(source: BucketSource, size: int = 1000) -> list[bytes]:
    return [one.path for one in await objects(source, size)]


async def test_all_beneath_a_prefix_is_listed_and_read_whatever_pages_a_cloud_makes() -> None:
    keys = {f"raw/{n:03}": os.urandom(n) for n in range(47)} | {"rawer": b"x", "other/1": b"y"}
    for page_keys in (1, 7, 46, 47, 1000):
        for size in (1, 5, 47, 1000):
            source = await opened(filled(keys, page_keys), "s3://corpus/raw/")
            found = await objects(source, size)
            assert [one.path for one in found] == [f"{n:03}".encode() for n in range(47)]
            assert found[3].modified_unix_ms == 1500
            assert found[3].checksum.startswith("md5:")
    assert [await whole(source, one) for one in found] == [keys[f"raw/{n:03}"] for n in range(47)]


async def test_another_steward_goes_on_from_any_page() -> None:
    bucket = filled({f"{n:03}": b"x" for n in range(30)}, page_keys=7)
    found: list[bytes] = []
    cursor, last = "", False
    while not last:
        page = await (await opened(bucket, "s3://corpus")).page(cursor, 5)
        found += [one.path for one in page.objects]
        cursor, last = page.cursor, page.last
        bucket.objects.pop(cursor.partition(":")[2], None)  # What it stood on may go.
    assert found == [f"{n:03}".encode() for n in range(30)]


async def test_globs_are_over_paths_inside_of_the_prefix() -> None:
    bucket = filled({f"raw/{k}": b"" for k in ("a/1.txt", "a/2.bin", "b/3.txt", "c/d/4.txt")}, 2)
    for globs, wanted in (
        ({"include": ["*.txt"]}, [b"a/1.txt", b"b/3.txt", b"c/d/4.txt"]),
        ({"exclude": ["a", "d"]}, [b"b/3.txt"]),
        ({"include": ["a"], "exclude": ["*.bin"]}, [b"a/1.txt"]),
    ):
        assert await paths(await opened(bucket, "s3://corpus/raw/", **globs), 1) == wanted


async def test_a_key_without_a_slash_is_that_object_or_else_a_folder() -> None:
    bucket = filled({"a/one": b"1", "a/one/more": b"2", "a/two/x": b"3"})
    assert await paths(await opened(bucket, "s3://corpus/a/one")) == [b"one"]
    assert await paths(await opened(bucket, "s3://corpus/a/one/")) == [b"more"]
    assert await paths(await opened(bucket, "s3://corpus/a/two")) == [b"x"]
    source = await opened(bucket, "s3://corpus/a/one")
    assert await whole(source, (await objects(source))[0]) == b"1"


async def test_keys_that_are_no_paths_are_skipped_by_name_and_folders_are_nothing() -> None:
    odd = ["a//b", "/c", "../d", "e/./f", "g\0h"]
    bucket = filled({"r/": b"", "r/x/": b"", "r/x/1": b"1", **{f"r/{k}": b"!" for k in odd}})
    page = await (await opened(bucket, "s3://corpus/r/")).page("", 100)
    assert [one.path for one in page.objects] == [b"x/1"]
    assert {(one.path, one.reason) for one in page.skipped} == {(k.encode(), NAME) for k in odd}


async def test_a_prefix_with_nothing_in_it_is_an_error_that_names_it() -> None:
    for uri in ("s3://corpus/nothing/", "s3://corpus/nothing"):
        with pytest.raises(McError, match="nothing in s3://corpus/nothing") as caught:
            await (await opened(filled({"x": b""}), uri)).page("", 10)
        assert caught.value.reason == "NOT_FOUND"


async def test_what_changed_went_or_is_locked_is_skipped_by_name() -> None:
    class Locked(MemoryBucket):
        shut: tuple[str, ...] = ()

        def read(self, key: str, pin: str, first: int, count: int):  # type: ignore[no-untyped-def]
            if key in self.shut:
                raise McError("NOT_ALLOWED", f"kms:Decrypt on {key}")
            return super().read(key, pin, first, count)

    bucket = Locked(PLACE)
    bucket.objects = filled({k: k.encode() for k in "abcd"}).objects
    source = await opened(bucket, "s3://corpus/")
    listed = {one.path: one for one in await objects(source)}
    bucket.objects["a"] = Object("a", 1, "another", 9.0), b"A"
    del bucket.objects["b"]
    bucket.shut = ("c",)
    assert [await outcome(whole(source, listed[k])) for k in (b"a", b"b", b"c", b"d")] == [
        CHANGED,
        GONE,
        UNREADABLE,
        b"d",
    ]
    bucket.shut = tuple("abcd")
    with pytest.raises(McError, match="kms:Decrypt") as caught:
        await whole(source, listed[b"d"])
    assert caught.value.reason == "NOT_ALLOWED"


async def test_bytes_that_are_not_what_the_listing_says_are_damage_until_all_are_read_anew() -> (
    None
):
    data = os.urandom(3 << 20)
    bucket = filled({"x": data})
    source = await opened(bucket, "s3://corpus/")
    (listed,) = await objects(source)
    asked = task_pb2.TaskInput(
        path=listed.path, etag=listed.etag, size_bytes=len(data), checksum=listed.checksum
    )
    asked.range.size_bytes = len(data)
    good = bucket.objects["x"]
    bucket.objects["x"] = good[0], data[:-1] + bytes([data[-1] ^ 1])
    order = [1 << 20, 0, 2 << 20]
    for at in order[:2]:
        await source.read(asked, at, 1 << 20)
    for _ in range(2):
        with pytest.raises(McError, match="md5:") as caught:
            await source.read(asked, order[2], 1 << 20)
        assert caught.value.reason == "DAMAGE"
    bucket.objects["x"] = good
    for at in (0, 1 << 20, 2 << 20):
        assert await source.read(asked, at, 1 << 20) == data[at : at + (1 << 20)]


async def test_a_cloud_that_is_away_makes_the_source_away() -> None:
    class Away(MemoryBucket):
        reason = ""

        async def _take(self, *given: object) -> object:  # type: ignore[override]
            if self.reason:
                raise McError(self.reason, "503")
            return await super()._take(*given)  # type: ignore[arg-type]

    bucket = Away(PLACE)
    bucket.objects = filled({"a": b"1"}).objects
    source = await opened(bucket, "s3://corpus/")
    (listed,) = await objects(source)
    for bucket.reason in ("TOO_BUSY", "UNREACHABLE"):
        for reading in (source.page("", 10), whole(source, listed)):
            with pytest.raises(McError) as caught:
                await reading
            assert caught.value.reason == "SOURCE_AWAY"


class Endless(MemoryBucket):
    """Makes its keys as they are asked for."""

    def __init__(self, keys: int) -> None:
        super().__init__(PLACE)
        self.keys = keys

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        begin = int(cursor or 0)
        end = min(begin + 1000, self.keys)
        found = [Object(f"raw/{n:012}", 1, f"{n:032x}", 1.0) for n in range(begin, end)]
        return Page(found, str(end) if end < self.keys else "")


async def _listed_in(keys: int) -> int:
    """The most bytes that were allocated while so many keys were listed."""
    source = await opened(Endless(keys), "s3://corpus/raw/")
    cursor, last, found = "", False, 0
    tracemalloc.start()
    try:
        while not last:
            page = await source.page(cursor, 1000)
            cursor, last = page.cursor, page.last
            found += len(page.objects)
        assert found == keys
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_listing_of_many_keys_takes_no_more_memory_than_one_of_few() -> None:
    few, many = await _listed_in(2000), await _listed_in(12_000)
    assert many < 1.2 * few
    assert many < 8 << 20


@pytest.mark.slow
async def test_a_listing_of_ten_million_keys_takes_no_more_memory_than_one_of_few() -> None:
    few, many = await _listed_in(2000), await _listed_in(10_000_000)
    assert many < 1.2 * few


def test_a_bucket_is_read_where_its_bytes_leave_it_for_the_fewest_dollars() -> None:
    nodes = {
        "here": Domain("aws", "us-east-1", "a"),
        "also": Domain("aws", "us-east-1", "b"),
        "far": Domain("aws", "us-west-2", "a"),
        "other": Domain("gcp", "us-east4", "a"),
    }
    found = costs(domain_of(place_of("s3", "us-east-1")), nodes, load())
    assert {node for node, cost in found.items() if cost < float("inf")} == {"here", "also"}
    del nodes["here"], nodes["also"]
    found = costs(domain_of(place_of("s3", "us-east-1")), nodes, load())
    assert {node for node, cost in found.items() if cost < float("inf")} == {"far"}
    assert set(costs(None, nodes, load()).values()) == {0.0}
    assert place_of("gs", "US-EAST4") == "gcp/us-east4"
    assert place_of("s3", "aws/x") == "aws/x"


def test_names_of_buckets_are_read_as_they_are_written() -> None:
    for uri, host, prefix, endpoint in (
        ("s3://b", "b", "", ""),
        ("s3://b/", "b", "", ""),
        ("gs://b/a/100%25 ?#x/", "b", "a/100%25 ?#x/", ""),
        ("az://acc/cont/x/y", "acc/cont", "x/y", ""),
        ("s3://b/x/?endpoint=minio-1", "b", "x/", "minio-1"),
    ):
        name = parse(uri)
        assert (name.host, name.prefix, name.endpoint, name.uri) == (host, prefix, endpoint, uri)
    for uri in ("s3://", "s3:///x", "az://acc", "az://acc//x", "s3://-b/x", "gs://b/\0"):
        with pytest.raises(McError) as caught:
            parse(uri)
        assert caught.value.reason == "BAD_REQUEST", uri


async def test_pieces_of_a_task_are_few_requests_and_each_byte_is_fetched_once() -> None:
    class Counted(MemoryBucket):
        asked: list[tuple[int, int]]

        def read(self, key: str, pin: str, first: int, count: int):  # type: ignore[no-untyped-def]
            self.asked.append((first, count))
            return super().read(key, pin, first, count)

    mib = 1 << 20
    data = os.urandom(30 * mib + 5)
    bucket = Counted(PLACE)
    bucket.objects, bucket.asked = filled({"x": data}).objects, []
    source = await opened(bucket, "s3://corpus/")
    (listed,) = await objects(source)
    asked = task_pb2.TaskInput(path=listed.path, etag=listed.etag, size_bytes=len(data))
    asked.range.offset_bytes, asked.range.size_bytes = 3 * mib, 20 * mib + 5
    end = 23 * mib + 5
    for begin in range(3 * mib, end, 4 * mib):
        starts = range(begin, min(begin + 4 * mib, end), mib)
        pieces = await asyncio.gather(
            *(source.read(asked, at, min(mib, end - at)) for at in starts)
        )
        assert b"".join(pieces) == data[begin : min(begin + 4 * mib, end)]
    assert bucket.asked == [(3 * mib, 8 * mib), (11 * mib, 8 * mib), (19 * mib, 4 * mib + 5)]
    assert await source.read(asked, 0, 10) == data[:10]
    assert await source.read(asked, 10 * mib + 7, 2 * mib) == data[10 * mib + 7 : 12 * mib + 7]
