"""Parts go to every sink in order, wait for the slowest that lives, and end with their source."""

import asyncio
from collections.abc import Sequence

import pytest

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.wire.answers import Answers
from nodeagent.wire.facts import Fact, Ledger
from nodeagent.wire.flow import Branch, Flow
from nodeagent.wire.parts import GET_FRAME, Kind, Part, Parts, frame_message

SIZE = 10


def parts(count: int) -> list[Part]:
    frames = [Part(Kind.FRAME, bytes(SIZE), b"", index) for index in range(count)]
    return [*frames, Part(Kind.TRAILER, b"", b"")]


class Source:
    def __init__(self, count: int, error: McError | None = None) -> None:
        self.given = 0
        self._parts, self._error = parts(count), error

    async def stream(self) -> Parts:
        for part in self._parts:
            self.given += 1
            yield part
            if self._error and self.given == 3:
                raise self._error


class Taker:
    """Takes what `gate` lets it, and may leave early."""

    def __init__(self, leaves_after: int = 1 << 30, open_: bool = True) -> None:
        self.took: list[int] = []
        self.cancelled = False
        self.gate = asyncio.Event()
        self._leaves_after = leaves_after
        if open_:
            self.gate.set()

    async def run(self, branch: Branch) -> None:
        try:
            async for part in branch:
                await self.gate.wait()
                if part.kind is Kind.TRAILER or len(self.took) == self._leaves_after:
                    return
                self.took.append(part.index)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def flow(sinks: Sequence[Taker], taken: list[int], window: int = 3 * SIZE) -> Flow:
    return Flow(sinks, window_bytes=lambda: window, taken=taken.append)


async def test_every_sink_gets_every_part_in_order() -> None:
    sinks, taken = [Taker(), Taker(), Taker()], list[int]()
    await flow(sinks, taken).run(Source(20).stream())
    assert [sink.took for sink in sinks] == [list(range(20))] * 3
    assert sum(taken) == 20 * SIZE


async def test_the_slowest_holds_the_source_and_memory_stays_in_the_window() -> None:
    slow, fast, source, taken = Taker(open_=False), Taker(), Source(20), list[int]()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(flow([slow, fast], taken).run(source.stream()))
        while len(fast.took) < 3:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (source.given, fast.took, taken) == (4, [0, 1, 2], [])
        slow.gate.set()
        await running
    assert slow.took == list(range(20))


async def test_one_that_leaves_stops_nobody() -> None:
    short, whole, taken = Taker(leaves_after=2), Taker(), list[int]()
    await flow([short, whole], taken).run(Source(20).stream())
    assert (short.took, whole.took) == ([0, 1], list(range(20)))
    assert sum(taken) == 20 * SIZE


async def test_when_all_have_left_the_source_is_not_asked_for_more() -> None:
    source = Source(1000)
    await flow([Taker(leaves_after=1), Taker(leaves_after=2)], []).run(source.stream())
    assert source.given < 10


async def test_what_ends_the_source_ends_every_sink() -> None:
    sinks = [Taker(open_=False), Taker()]
    with pytest.raises(McError) as error:
        await flow(sinks, []).run(Source(20, McError("DAMAGE", "bad")).stream())
    assert error.value.reason == "DAMAGE"
    assert all(sink.cancelled for sink in sinks)


async def test_without_sinks_there_is_nothing_to_do() -> None:
    source = Source(5)
    await flow([], []).run(source.stream())
    assert source.given == 0


def test_each_node_has_one_fact_and_the_first_counts() -> None:
    told: list[Fact] = []
    ledger = Ledger(["a", "b", "c"], told.append)
    ledger.settle(Fact("a", b"id", "v"))
    ledger.fail("a", McError("NO_ROOM", "too late"))
    ledger.settle(Fact("z", b"id", "v"))
    ledger.fail_beyond("b", ["c", "a"], McError("STALLED", "slow"))
    assert [(fact.node, fact.outcome) for fact in told] == [
        ("a", "stored"),
        ("b", "failed"),
        ("c", "failed"),
    ]
    assert [fact.error.reason for fact in told if fact.error] == ["STALLED", "UNREACHABLE"]
    assert ledger.open == frozenset()


async def test_answers_come_in_order_with_signs_of_life_between() -> None:
    answers: Answers[str] = Answers(lambda: "alive", 0.02)

    async def work() -> None:
        answers.say("one")
        await asyncio.sleep(0.1)
        answers.say("two")
        await answers.read()

    heard = [answer async for answer in answers.of(work)]
    assert heard[:2] == ["one", "alive"]
    assert [answer for answer in heard if answer != "alive"] == ["one", "two"]


async def test_work_that_fails_is_told_after_what_it_said() -> None:
    answers: Answers[str] = Answers()

    async def work() -> None:
        answers.say("one")
        raise McError("DAMAGE", "bad")

    heard = []
    with pytest.raises(McError):
        async for answer in answers.of(work):
            heard += [answer]
    assert heard == ["one"]


async def test_work_ends_when_nobody_listens_any_more() -> None:
    answers: Answers[str] = Answers()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            answers.say("one")
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = answers.of(work)
    assert await anext(stream) == "one"
    await stream.aclose()  # type: ignore[attr-defined]
    assert ended.is_set()


def test_a_frame_is_written_as_protobuf_writes_it() -> None:
    for index, size in ((0, 1), (1, 127), (300, 128), ((1 << 32) - 1, 1 << 20)):
        data, leaf = bytes(size), bytes(32)
        frame = chunk_pb2.Frame(index=index, data=data, leaf=leaf)
        wanted = chunk_pb2.GetChunkResponse(frame=frame).SerializeToString()
        assert frame_message(GET_FRAME, index, data, leaf) == wanted
