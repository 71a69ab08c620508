"""What every bucket must do, as one suite: a test class inherits it and gives a `world`.

Whatever is asked here is of the contract and of no cloud.
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from multicloud.errors import McError
from nodeagent.clouds.contract import Bucket, Object

PAGE_KEYS = 3  # A world's bucket lists so many at once,
PART_BYTES = 256 << 10  # and sends so much at once: the least that Google's cloud takes.
AT_ONCE_S = -2.0  # Clouds tell an age in whole seconds.
ODD = (
    "a b/+plus",
    "a%2Fb",
    "a&b=c?d#e",
    "a//b",
    "dir/",
    "quote'\"<>",
    "tilde~!*()",
    "umlaut-ä/日本",
    "~high-\uffee",
    "~high-\U0001f600",
)


@dataclass
class World:
    bucket: Bucket
    # Begins an upload of a key and leaves it; None where a cloud has no such thing.
    abandon: Callable[[str], Awaitable[None]] | None = None
    keeps_checksums: bool = True  # It tells those of an object, and refuses wrong ones.
    decides_races: bool = True  # Of two who put if absent at one moment, one wins.
    alphabet: str = "utf-8"  # In whose bytes keys are ordered.


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def put(bucket: Bucket, key: str, data: bytes = b"x", *, absent: bool = False) -> Object:
    return await bucket.put(key, stream(data), len(data), absent=absent)


async def read(bucket: Bucket, found: Object, first: int = 0, count: int | None = None) -> bytes:
    size = found.size_bytes - first if count is None else count
    return b"".join([p async for p in bucket.read(found.key, found.pin, first, size)])


async def refusal(call: Coroutine[Any, Any, object]) -> McError:
    with pytest.raises(McError) as caught:
        await call
    return caught.value


async def keys(bucket: Bucket, prefix: str = "", cursor: str = "", after: str = "") -> list[str]:
    found: list[str] = []
    while True:
        page = await bucket.page(prefix, cursor, after)
        assert len(page.objects) <= PAGE_KEYS
        found += [item.key for item in page.objects]
        cursor = page.cursor
        if not cursor:
            return found


def of_bytes(name: str, data: bytes) -> bytes | None:
    """The checksum of that name; None for one that this suite cannot make."""
    match name:
        case "md5":
            return hashlib.md5(data).digest()
        case "sha256":
            return hashlib.sha256(data).digest()
        case "crc32":
            return zlib.crc32(data).to_bytes(4)
        case "crc32c":
            import google_crc32c

            return int(google_crc32c.value(data)).to_bytes(4)
    return None


class Conformance:
    """Inherit it beside a fixture `world` with an empty bucket."""

    async def test_what_was_put_is_read_bit_for_bit(self, world: World) -> None:
        data = bytes(range(256)) * 40
        made = await put(world.bucket, "some/key", data)
        found = await world.bucket.head("some/key")
        assert (made.key, made.size_bytes, made.pin) == ("some/key", len(data), found.pin)
        assert found.pin
        assert await read(world.bucket, found) == data

    async def test_a_range_is_read_alone(self, world: World) -> None:
        data = bytes(range(250)) * 4
        made = await put(world.bucket, "k", data)
        for first, count in ((0, 1), (1, 7), (300, 512), (999, 1), (0, 1000)):
            assert await read(world.bucket, made, first, count) == data[first : first + count]
        assert await read(world.bucket, made, 5, 0) == b""

    async def test_an_empty_object_is_one(self, world: World) -> None:
        made = await put(world.bucket, "empty", b"")
        assert (await world.bucket.head("empty")).size_bytes == made.size_bytes == 0
        assert await read(world.bucket, made) == b""
        assert await keys(world.bucket) == ["empty"]

    async def test_a_range_beyond_the_end_is_damage(self, world: World) -> None:
        made = await put(world.bucket, "k", b"12345")
        for first, count in ((0, 6), (5, 1), (9, 9)):
            error = await refusal(read(world.bucket, made, first, count))
            assert error.reason == "DAMAGE", (first, count)

    async def test_a_missing_key_is_not_found_and_named(self, world: World) -> None:
        made = await put(world.bucket, "there")
        ghost = Object("not/there", 1, made.pin, 0.0)
        for call in (world.bucket.head("not/there"), read(world.bucket, ghost)):
            error = await refusal(call)
            assert error.reason == "NOT_FOUND"
            assert f"{world.bucket.place.uri}/not/there" in error.message

    async def test_a_changed_object_is_never_read_as_the_old_one(self, world: World) -> None:
        old = await put(world.bucket, "k", b"old")
        new = await put(world.bucket, "k", b"new")
        assert new.pin != old.pin
        for count in (3, 0):
            error = await refusal(read(world.bucket, old, 0, count))
            assert error.reason == "CHANGED", count
            assert f"{world.bucket.place.uri}/k" in error.message
        assert await read(world.bucket, new) == b"new"

    async def test_an_object_that_changes_while_it_is_read_is_no_mix(self, world: World) -> None:
        size = PART_BYTES * 2 + 5
        old = await put(world.bucket, "k", b"a" * size)
        reading = world.bucket.read("k", old.pin, 0, size)
        got = await anext(reading)
        await put(world.bucket, "k", b"b" * size)
        with pytest.raises(McError) as caught:
            async for piece in reading:
                got += piece
        assert caught.value.reason == "CHANGED"
        assert got.count(b"a") == len(got)

    async def test_keys_come_in_the_order_of_their_bytes_over_many_pages(
        self, world: World
    ) -> None:
        names = ["b", "a", "a/1", "a/10", "a/2", "a0", "B", "a/~", "c/d/e", "ä"]
        for name in names:
            await put(world.bucket, name)
        ordered = sorted(names, key=str.encode)
        assert await keys(world.bucket) == ordered
        assert await keys(world.bucket, "a/") == [k for k in ordered if k.startswith("a/")]
        assert await keys(world.bucket, "nothing") == []
        page = await world.bucket.page("a/")
        assert [item.size_bytes for item in page.objects] == [1, 1, 1]
        for item in page.objects:
            assert item.pin == (await world.bucket.head(item.key)).pin
            assert item.modified_unix_s > 0

    async def test_a_listing_begins_behind_a_key(self, world: World) -> None:
        for name in ("a", "b", "b/1", "c", "d"):
            await put(world.bucket, name)
        assert await keys(world.bucket, after="b") == ["b/1", "c", "d"]
        assert await keys(world.bucket, after="aa") == ["b", "b/1", "c", "d"]
        assert await keys(world.bucket, "b", after="b") == ["b/1"]
        assert await keys(world.bucket, after="d") == []

    async def test_a_cursor_is_good_after_its_page_changed(self, world: World) -> None:
        """As days later: what it stood on is gone, and new keys came on both sides."""
        for name in ("a", "b", "c", "d", "e"):
            await put(world.bucket, name)
        cursor = (await world.bucket.page("")).cursor
        assert cursor
        await world.bucket.delete("c")
        await put(world.bucket, "aa")
        await put(world.bucket, "dd")
        assert await keys(world.bucket, cursor=cursor) == ["d", "dd", "e"]
        assert await keys(world.bucket, cursor=cursor, after="e") == ["d", "dd", "e"]

    async def test_odd_names_are_keys_like_others(self, world: World) -> None:
        for name in ODD:
            made = await put(world.bucket, name, name.encode())
            assert await read(world.bucket, made) == name.encode()
        ordered = sorted(ODD, key=lambda name: name.encode(world.alphabet))
        assert await keys(world.bucket) == ordered
        assert await keys(world.bucket, "a%2F") == ["a%2Fb"]
        for name in ODD:
            assert (await world.bucket.head(name)).key == name
            await world.bucket.delete(name)
        assert await keys(world.bucket) == []

    async def test_a_large_object_is_put_and_read_in_parts(self, world: World) -> None:
        block = hashlib.sha256(b"seed").digest() * 4096
        data = block * (PART_BYTES * 2 // len(block)) + b"the rest"
        pieces = [data[at : at + 777_777] for at in range(0, len(data), 777_777)]
        made = await world.bucket.put("large", stream(*pieces), len(data), absent=True)
        assert made.size_bytes == len(data)
        found = await world.bucket.head("large")
        assert found.pin == made.pin
        got = [piece async for piece in world.bucket.read("large", made.pin, 0, len(data))]
        assert b"".join(got) == data
        assert max(map(len, got)) <= PART_BYTES
        error = await refusal(put(world.bucket, "large", data, absent=True))
        assert error.reason == "ALREADY_EXISTS"

    @pytest.mark.parametrize("size", [10, PART_BYTES + 10])
    async def test_of_a_wrong_size_nothing_is_put(self, world: World, size: int) -> None:
        for came in (size - 1, size + 1):
            parts = stream(b"." * (came - 5), b"." * 5)
            error = await refusal(world.bucket.put("k", parts, size, absent=False))
            assert error.reason == "DAMAGE"
        assert await keys(world.bucket) == []
        assert await world.bucket.sweep("", AT_ONCE_S) == 0

    async def test_what_breaks_in_the_middle_leaves_nothing(self, world: World) -> None:
        async def breaking() -> AsyncIterator[bytes]:
            yield b"." * (PART_BYTES + 1)
            raise McError("SOURCE_AWAY", "the laptop went")

        call = world.bucket.put("k", breaking(), 3 * PART_BYTES, absent=True)
        assert (await refusal(call)).reason == "SOURCE_AWAY"
        assert await keys(world.bucket) == []
        assert await world.bucket.sweep("", AT_ONCE_S) == 0

    async def test_a_put_over_an_object_replaces_it_whole(self, world: World) -> None:
        await put(world.bucket, "k", b"a longer one")
        made = await put(world.bucket, "k", b"short")
        assert await read(world.bucket, made) == b"short"
        assert await keys(world.bucket) == ["k"]

    async def test_a_put_if_absent_meets_what_is_there(self, world: World) -> None:
        first = await put(world.bucket, "k", b"first", absent=True)
        error = await refusal(put(world.bucket, "k", b"other", absent=True))
        assert error.reason == "ALREADY_EXISTS"
        assert f"{world.bucket.place.uri}/k" in error.message
        assert await read(world.bucket, first) == b"first"

    async def test_of_many_that_put_if_absent_one_wins(self, world: World) -> None:
        calls = [put(world.bucket, "k", b"%d" % n, absent=True) for n in range(6)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        winners = [b"%d" % n for n, made in enumerate(done) if isinstance(made, Object)]
        losers = [made.reason for made in done if isinstance(made, McError)]
        assert losers == ["ALREADY_EXISTS"] * (6 - len(winners))
        assert len(winners) == 1 or not world.decides_races
        assert await read(world.bucket, await world.bucket.head("k")) in winners

    async def test_checksums_are_those_of_the_bytes(self, world: World) -> None:
        data = b"some bytes" * 1000
        await put(world.bucket, "k", data)
        found = await world.bucket.head("k")
        known = {name: given for name, given in found.checksums if of_bytes(name, b"") is not None}
        assert all(of_bytes(name, data) == given for name, given in known.items())
        assert bool(known) == world.keeps_checksums

    async def test_delete_is_done_once_and_again(self, world: World) -> None:
        await put(world.bucket, "k")
        await put(world.bucket, "k/under")
        await world.bucket.delete("k")
        await world.bucket.delete("k")
        assert (await refusal(world.bucket.head("k"))).reason == "NOT_FOUND"
        assert await keys(world.bucket) == ["k/under"]

    async def test_a_sweep_ends_what_was_left_and_nothing_else(self, world: World) -> None:
        await put(world.bucket, "kept")
        assert await world.bucket.sweep("", AT_ONCE_S) == 0
        if world.abandon is not None:
            await world.abandon("left/1")
            await world.abandon("other/1")
            assert await world.bucket.sweep("left/", 3600.0) == 0
            assert await world.bucket.sweep("left/", AT_ONCE_S) == 1
            assert await world.bucket.sweep("", AT_ONCE_S) == 1
        assert await keys(world.bucket) == ["kept"]

    async def test_a_probe_finds_all_abilities_and_leaves_nothing(self, world: World) -> None:
        await put(world.bucket, "mine")
        able = await world.bucket.probe("", write=True)
        assert (able.ranged_read, able.pinned_read, able.put_if_absent) == (True, True, True)
        assert able.checksums == world.keeps_checksums
        assert bool(able.said) != able.checksums
        assert await keys(world.bucket) == ["mine"]
        assert (await world.bucket.probe("", write=False)).ranged_read
