"""What every engine of the council must pass; inherit it and give the fixture `council`."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from coordinator.council.registers import VALUE_BYTES_MAX
from multicloud.errors import McError
from nodeagent.council.contract import Council, Outcome, Register

WITHIN_S = 15.0


def wish() -> str:
    """An operation's id."""
    return uuid4().hex


async def _next(watching: AsyncIterator[Register]) -> Register:
    return await anext(watching)


class CouncilConformance:
    async def test_a_register_that_nobody_set_has_version_0_and_no_value(
        self, council: Council
    ) -> None:
        assert await council.get("name/new") == Register("name/new", 0, b"", current=True)

    async def test_what_was_set_is_read_and_its_version_goes_up_by_one(
        self, council: Council
    ) -> None:
        for version in range(3):
            value = f"v{version}".encode()
            made = await council.compare_and_set("name/up", version, value, wish())
            assert made == Outcome(version + 1, value, changed=True)
        assert await council.get("name/up") == Register("name/up", 3, b"v2", current=True)

    async def test_another_version_than_the_expected_one_changes_nothing_and_is_shown(
        self, council: Council
    ) -> None:
        await council.compare_and_set("name/taken", 0, b"first", wish())
        for wrong in (0, 2):
            told = await council.compare_and_set("name/taken", wrong, b"second", wish())
            assert told == Outcome(1, b"first", changed=False)
        assert (await council.get("name/taken")).value == b"first"

    async def test_whoever_asks_again_with_the_same_id_learns_what_became_of_the_first_time(
        self, council: Council
    ) -> None:
        mine = wish()
        first = await council.compare_and_set("name/again", 0, b"mine", mine)
        assert await council.compare_and_set("name/again", 0, b"mine", mine) == first
        await council.compare_and_set("name/again", 1, b"theirs", wish())
        assert await council.compare_and_set("name/again", 0, b"mine", mine) == first
        assert (await council.get("name/again")).value == b"theirs"

    async def test_of_many_that_want_the_same_version_one_has_it(self, council: Council) -> None:
        values = [f"rival {i}".encode() for i in range(6)]
        ended = await asyncio.gather(
            *(council.compare_and_set("name/rivals", 0, value, wish()) for value in values)
        )
        (winner,) = [value for value, one in zip(values, ended, strict=True) if one.changed]
        assert {one.value for one in ended} == {winner}
        assert (await council.get("name/rivals")).value == winner

    async def test_list_gives_what_begins_with_the_prefix_in_order_and_says_it_may_be_old(
        self, council: Council
    ) -> None:
        for key in ("job/b", "job/a", "other/c"):
            await council.compare_and_set(key, 0, key.encode(), wish())
        async with asyncio.timeout(WITHIN_S):
            while len(council.list("job/")) < 2:
                await asyncio.sleep(0.02)
        wanted = [Register("job/a", 1, b"job/a"), Register("job/b", 1, b"job/b")]
        assert council.list("job/") == wanted
        assert not any(register.current for register in council.list())

    async def test_watch_gives_what_is_there_and_what_comes(self, council: Council) -> None:
        await council.compare_and_set("watch/a", 0, b"1", wish())
        watching = council.watch("watch/")
        async with asyncio.timeout(WITHIN_S):
            assert await anext(watching) == Register("watch/a", 1, b"1")
            async with asyncio.TaskGroup() as group:
                coming = group.create_task(_next(watching))
                await council.compare_and_set("elsewhere/b", 0, b"2", wish())
                await council.compare_and_set("watch/a", 1, b"3", wish())
            assert coming.result() == Register("watch/a", 2, b"3")
        await watching.aclose()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("key", ["", "next", "epoch", " a", "a b", "/a", "k" * 201, "ä"])
    async def test_a_key_that_is_none_is_refused_by_name(self, council: Council, key: str) -> None:
        for refused in (council.get(key), council.compare_and_set(key, 0, b"", wish())):
            with pytest.raises(McError) as caught:
                await refused
            assert caught.value.reason == "BAD_REQUEST"
            assert caught.value.faults[0].field == "key"

    async def test_a_value_of_32_kib_fits_and_one_byte_more_is_too_large(
        self, council: Council
    ) -> None:
        most = b"x" * VALUE_BYTES_MAX
        assert (await council.compare_and_set("big/a", 0, most, wish())).changed
        assert (await council.get("big/a")).value == most
        with pytest.raises(McError) as caught:
            await council.compare_and_set("big/b", 0, most + b"x", wish())
        assert caught.value.reason == "TOO_LARGE"

    @pytest.mark.parametrize("operation", ["", "o" * 65])
    async def test_a_wish_needs_an_id_of_its_own(self, council: Council, operation: str) -> None:
        with pytest.raises(McError) as caught:
            await council.compare_and_set("name/x", 0, b"", operation)
        assert caught.value.reason == "BAD_REQUEST"
