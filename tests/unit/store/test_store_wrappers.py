"""Each wrapper keeps every promise of the store that it wraps, and adds what it is for."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random

import pytest

from multicloud.errors import McError
from nodeagent.store.contract import Store
from nodeagent.store.memory import MemoryStore
from nodeagent.store.wrap.around import Around
from nodeagent.store.wrap.count import Counted
from nodeagent.store.wrap.faults import Fault, Faulty
from nodeagent.store.wrap.limit import Limited
from nodeagent.store.wrap.retry import TRIES_MAX, Retrying
from tests.unit.store.conformance import Conformance
from tests.unit.store.store_world import (
    JOB,
    Clock,
    World,
    bytes_of,
    chunk_of,
    put,
    reason_of,
)


class Heard:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def trace(self) -> str:
        return ""

    def step(self, trace: str, name: str, **facts: object) -> AbstractContextManager[object]:
        return nullcontext()

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.calls.append((labels["what"], labels["outcome"]))


class Time:
    """Sleeping moves it, and nothing else."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.now_s += duration_s
        await asyncio.sleep(0)


class OnceBusy:
    """Every call but those of a put is refused the first time."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def __call__(self, name: str) -> Fault | None:
        if name in ("write", "commit", "frame") or name in self.refused:
            self.refused.discard(name)
            return None
        self.refused.add(name)
        return Fault(reason="TOO_BUSY")


def retrying(inner: Store) -> Around:
    faulty = Faulty(inner, OnceBusy())
    return Retrying(faulty, rng=Random(1), sleep=Time().sleep)


def limited(inner: Store) -> Around:
    time = Time()
    return Limited(inner, calls_max=1, bytes_per_s=10_000, clock=time, sleep=time.sleep)


def counted(inner: Store) -> Around:
    return Counted(inner, Heard())


def faultless(inner: Store) -> Around:
    return Faulty(inner, lambda name: None)


class WrappedConformance(Conformance):
    wrap: Callable[[Store], Around]

    @pytest.fixture
    def world(self) -> World:
        clock = Clock()
        inner = MemoryStore("memory-1", clock=clock)
        return World(type(self).wrap(inner), clock, inner.spoil, inner.lose)


class TestRetrying(WrappedConformance):
    wrap = staticmethod(retrying)


class TestLimited(WrappedConformance):
    wrap = staticmethod(limited)


class TestCounted(WrappedConformance):
    wrap = staticmethod(counted)


class TestFaulty(WrappedConformance):
    wrap = staticmethod(faultless)


def memory() -> MemoryStore:
    return MemoryStore("memory-1", clock=Clock())


async def test_retrying_ends_and_waits_as_long_as_it_is_told() -> None:
    time = Time()

    class Busy(Around):
        tries = 0

        async def around(self, name, call, size_bytes=0):  # type: ignore[no-untyped-def]
            self.tries += 1
            raise McError("TOO_BUSY", "busy", retry_after_s=7.0)

    busy = Busy(memory())
    store = Retrying(busy, rng=Random(1), sleep=time.sleep)
    assert await reason_of(store.verify(bytes(32))) == "TOO_BUSY"
    assert busy.tries == TRIES_MAX
    assert len(time.slept_s) == TRIES_MAX - 1
    assert min(time.slept_s) >= 7.0


@pytest.mark.parametrize("reason", ["NO_ROOM", "DAMAGE", "VOLUME_FAILED", "NOT_FOUND", "PINNED"])
async def test_what_waiting_does_not_mend_is_not_tried_again(reason: str) -> None:
    calls = []

    def plan(name: str) -> Fault | None:
        calls.append(name)
        return Fault(reason=reason)

    store = Retrying(Faulty(memory(), plan), rng=Random(1), sleep=Time().sleep)
    assert await reason_of(store.read(bytes(32))) == reason
    assert calls == ["read"]


@pytest.mark.parametrize("call", ["write", "commit"])
async def test_a_put_is_not_sent_twice(call: str) -> None:
    calls: list[str] = []

    def plan(name: str) -> Fault | None:
        calls.append(name)
        return Fault(reason="TOO_BUSY") if name == call else None

    store = Retrying(Faulty(memory(), plan), rng=Random(1), sleep=Time().sleep)
    assert await reason_of(put(store, chunk_of(1))) == "TOO_BUSY"
    assert calls.count(call) == 1


async def test_limited_makes_few_calls_at_once() -> None:
    running, most = 0, 0

    class Slow(Around):
        async def around(self, name, call, size_bytes=0):  # type: ignore[no-untyped-def]
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            try:
                return await call()
            finally:
                running -= 1

    store = Limited(Slow(memory()), calls_max=3)
    await asyncio.gather(*(put(store, chunk_of(number)) for number in range(12)))
    assert most == 3


async def test_limited_spreads_bytes_over_time() -> None:
    time, chunk = Time(), chunk_of(1, 40)
    store = Limited(memory(), calls_max=9, bytes_per_s=10_000, clock=time, sleep=time.sleep)
    await put(store, chunk)
    written_s = time.now_s
    assert written_s == pytest.approx(len(chunk.file) / 10_000 - 1, abs=0.1)
    assert await bytes_of(store, chunk) == chunk.file
    sealed = sum(map(len, chunk.frames))
    assert time.now_s - written_s == pytest.approx(sealed / 10_000 - 1, abs=0.1)


async def test_counted_tells_what_was_asked_and_how_it_ended() -> None:
    heard = Heard()
    store = Counted(memory(), heard)
    await reason_of(store.read(bytes(32)))
    await put(store, chunk_of(1))
    assert heard.calls[0] == ("read", "NOT_FOUND")
    assert ("commit", "OK") in heard.calls


async def test_faulty_flips_delays_and_loses_answers() -> None:
    time, chunk = Time(), chunk_of(1)
    faults = {
        "frame": Fault(flip=True),
        "pins": Fault(delay_s=3),
        "unpin": Fault(reason="TOO_BUSY", lost_answer=True),
    }
    inner = memory()
    store = Faulty(inner, faults.get, time.sleep)
    await put(store, chunk, JOB)
    assert await bytes_of(store, chunk) != chunk.file
    await store.pins(chunk.id)
    assert time.slept_s == [3]
    assert await reason_of(store.unpin(JOB.holder)) == "TOO_BUSY"
    assert await inner.pins(chunk.id) == []
