"""When requests are made: pace, patience, retries within a budget, a breaker for each endpoint."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from multicloud.errors import McError
from nodeagent.clouds.turns import BUDGET, EndpointState, PacedTurns, Surroundings
from nodeagent.core.request_rate import RequestRate


@dataclass
class Rig:
    """Turns whose time passes only by sleeping, and a cloud that does what it is told to."""

    tries_max: int = 6
    per_s_max: float = 1000.0
    places: int = 8
    now_s: float = 0.0
    answers: list[McError | str] = field(default_factory=list)
    asked_s: list[float] = field(default_factory=list)
    told: list[tuple[str, float, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = Surroundings(lambda: self.now_s, self.sleep, Random(7), self)
        self.endpoint = EndpointState("endpoint lab", "lab", asyncio.Semaphore(self.places))
        self.turns = PacedTurns(
            self.endpoint, world, lambda: self.per_s_max, lambda: self.tries_max
        )

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)

    def span(self, name: str, **facts: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        self.told.append((name, n, labels))

    observe = count

    async def ask(self, size_bytes: int = 0, name: str = "GetObject") -> str:
        async def call() -> str:
            self.asked_s.append(self.now_s)
            answer = self.answers.pop(0) if self.answers else "done"
            if isinstance(answer, McError):
                raise answer
            return answer

        take: Callable[..., Awaitable[str]] = self.turns.take
        return await take(name, call, size_bytes)


def busy(retry_after_s: float = 0.0) -> McError:
    return McError("TOO_BUSY", "SlowDown", retry_after_s=retry_after_s)


def down() -> McError:
    return McError("UNREACHABLE", "nothing listens")


async def test_a_cloud_that_asks_for_patience_gets_it() -> None:
    rig = Rig(answers=[busy(5.0), busy(3.0)])
    assert await rig.ask() == "done"
    first, second, third = rig.asked_s
    assert second - first >= 5.0
    assert third - second >= 3.0
    assert [labels["reason"] for name, _, labels in rig.told if name == "mc.cloud.tries"] == [
        "TOO_BUSY",
        "TOO_BUSY",
    ]


async def test_whoever_is_told_to_wait_very_long_is_told_so() -> None:
    rig = Rig(answers=[busy(90.0)])
    with pytest.raises(McError) as caught:
        await rig.ask()
    assert caught.value.retry_after_s == 90.0
    assert len(rig.asked_s) == 1


@pytest.mark.parametrize("reason", ["NOT_FOUND", "NOT_ALLOWED", "CHANGED", "ALREADY_EXISTS"])
async def test_what_no_second_try_mends_is_asked_once(reason: str) -> None:
    rig = Rig(answers=[McError(reason, "so it is")])
    with pytest.raises(McError) as caught:
        await rig.ask()
    assert caught.value.reason == reason
    assert len(rig.asked_s) == 1


async def test_tries_end() -> None:
    rig = Rig(tries_max=3, answers=[down() for _ in range(9)])
    with pytest.raises(McError):
        await rig.ask()
    assert len(rig.asked_s) == 3


async def test_bytes_that_come_wrong_thrice_are_damage() -> None:
    rig = Rig(answers=[McError("DAMAGE", "too few") for _ in range(9)])
    with pytest.raises(McError) as caught:
        await rig.ask()
    assert caught.value.reason == "DAMAGE"
    assert len(rig.asked_s) == 3


async def test_an_endpoint_that_is_down_is_left_alone_and_tried_again_later() -> None:
    rig = Rig(tries_max=1, answers=[down() for _ in range(5)])
    for _ in range(5):
        with pytest.raises(McError):
            await rig.ask()
    with pytest.raises(McError) as caught:
        await rig.ask()
    assert "left alone" in caught.value.message
    assert "nothing listens" in caught.value.message
    assert len(rig.asked_s) == 5
    rig.now_s += 60.0
    assert await rig.ask() == "done"
    assert await rig.ask() == "done"


async def test_a_refusal_shows_that_the_endpoint_is_up() -> None:
    rig = Rig(tries_max=1)
    for _ in range(20):
        rig.answers = [down(), down(), McError("NOT_FOUND", "no key")]
        for _ in range(3):
            with pytest.raises(McError):
                await rig.ask()
    assert len(rig.asked_s) == 60


async def test_a_storm_of_retries_is_ended_by_the_budget() -> None:
    rig = Rig(answers=[busy() for _ in range(1000)], per_s_max=1e5)
    done = await asyncio.gather(*(rig.ask() for _ in range(100)), return_exceptions=True)
    assert all(isinstance(error, McError) for error in done)
    assert len(rig.asked_s) == 100 + BUDGET


async def test_no_more_are_asked_at_once_than_there_are_places() -> None:
    rig, under_way, most = Rig(places=3), 0, 0

    async def call() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await asyncio.gather(*(rig.turns.take("HeadObject", call) for _ in range(20)))
    assert most == 3


async def test_requests_are_observed_by_how_they_ended() -> None:
    rig = Rig(answers=[busy()])
    await rig.ask(100)
    await rig.ask(20, "PutObject")
    ended = [labels["outcome"] for name, _, labels in rig.told if name.endswith("duration")]
    assert ended == ["TOO_BUSY", "ok", "ok"]
    moved = [(n, labels["direction"]) for name, n, labels in rig.told if name == "mc.cloud.bytes"]
    assert moved == [(100, "receive"), (20, "transmit")]


def send(rate: RequestRate, now_s: float, seconds: float, bears_per_s: float) -> tuple[int, int]:
    """Sends as fast as it may to a bucket that bears so much; (served, refused)."""
    served = refused = 0
    end_s, second, here = now_s + seconds, int(now_s), 0
    while now_s < end_s:
        wait_s = rate.wait_s(now_s)
        if wait_s > 0:
            now_s += max(wait_s, 1e-6)
            continue
        if int(now_s) != second:
            second, here = int(now_s), 0
        here += 1
        if here > bears_per_s:
            refused += 1
            rate.refused(now_s)
        else:
            served += 1
            rate.served(now_s)
    return served, refused


def test_a_rate_finds_what_a_bucket_bears_and_stays_below() -> None:
    rate = RequestRate.begin(1000.0, 0.0)
    send(rate, 0.0, 30.0, bears_per_s=200)
    served, refused = send(rate, 30.0, 60.0, bears_per_s=200)
    assert served > 0.6 * 200 * 60
    assert refused < 0.02 * served


def test_a_rate_grows_to_its_bound_where_nothing_refuses() -> None:
    rate = RequestRate.begin(300.0, 0.0)
    assert rate.per_s == 30.0
    send(rate, 0.0, 10.0, bears_per_s=1e9)
    assert rate.per_s == 300.0


def test_a_rate_that_nobody_uses_does_not_grow() -> None:
    rate = RequestRate.begin(1000.0, 0.0)
    for second in range(100):
        assert rate.wait_s(float(second)) == 0.0
        rate.served(second + 0.5)
    assert rate.per_s < 200.0


def test_one_burst_of_refusals_halves_no_rate_twice() -> None:
    rate = RequestRate.begin(100.0, 0.0)
    for _ in range(10):
        rate.wait_s(5.0)
    for n in range(10):
        rate.refused(5.0 + n / 100)
    assert rate.per_s == pytest.approx(7.0)
