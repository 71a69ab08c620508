"""Chunks delivered by a real node to real nodes over mTLS: acked, safe, spares, known copies."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from coordinator.electorate import Ask
from coordinator.placement import Election
from coordinator.policy import Level, Policy
from coordinator.types import Domain
from multicloud.errors import McError
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.core.chunk.seal import Sealer
from nodeagent.core.delivery_words import Patience
from nodeagent.store.contract import Committed, Pin, Put
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from nodeagent.wire.deliver import Delivered
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts
from nodeagent.wire.sealing import Sealing, sealed_bytes_max
from tests.support.chunks import KEY
from tests.support.meeting import meeting
from tests.support.nodes import Place, Running, until
from tests.support.people import People

PLAIN = bytes(range(256)) * 4096 * 3  # Three frames.
ROOM = sealed_bytes_max(len(PLAIN))
TERMS = Terms("job-1", "task-1", ROOM)
THREE = Policy(3, ((Level.NODE, 3),))


class Moody(MemoryStore):
    """Refuses puts, or takes its time over them, while it is told to."""

    refuses = False
    busy_puts = 0  # So many more are refused.
    slow_s = 0.0

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        if self.busy_puts:
            self.busy_puts -= 1
            raise McError("TOO_BUSY", "too many puts", retry_after_s=0.05)
        if self.refuses:
            raise McError("NO_ROOM", "this disk took a dislike")
        return _Slow(await super().put(file_bytes_max, chunk_id), self.slow_s)


@dataclass
class _Slow:
    put: Put
    slow_s: float

    async def write(self, data: Bytes) -> None:
        await asyncio.sleep(self.slow_s)
        await self.put.write(data)

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        await asyncio.sleep(self.slow_s)
        return await self.put.commit(envelope, pin)

    async def abort(self) -> None:
        await self.put.abort()


def moody(place: Place) -> Volumes:
    return Volumes([Moody(f"volume-{place.id}", clock=time.time)])


@pytest.fixture(scope="module")
async def five(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        nodes = await meeting(stack, people, tmp_path_factory.mktemp("five"), 5, store=moody)
        await until(lambda: len(elected(nodes[0], "all").board.seats) == 5, 20)
        yield nodes


@pytest.fixture(autouse=True)
def good_mood(five: list[Running]) -> None:
    for node in five:
        mood(node, refuses=False)


def mood(node: Running, *, refuses: bool = False, slow_s: float = 0.0, busy_puts: int = 0) -> None:
    (store,) = node.node.data.store.stores
    assert isinstance(store, Moody)
    store.refuses, store.slow_s, store.busy_puts = refuses, slow_s, busy_puts


def elected(node: Running, key: str, policy: Policy = THREE) -> Election:
    where = Domain("aws", "us-east-1", "a")
    ask = Ask(policy, where, key, ROOM, source_node=node.place.id)
    return node.node.deliverer.brain.elect(ask, {})


def setting(nodes: list[Running], *, source: bool) -> tuple[Running, Election]:
    """A source that is a target itself, or is none. The most loaded are never elected here."""
    found = ((node, elected(node, f"key-{n}")) for n in range(40) for node in nodes)
    return next(
        (node, election)
        for node, election in found
        if (node.place.id in [s.node for s in election.targets]) is source
    )


def sealing() -> Sealing:
    async def plain() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(PLAIN), 500_000):
            yield PLAIN[start : start + 500_000]

    return Sealing(lambda: Sealer(KEY, salt=secrets.token_bytes(32), codec=Codec.NONE), plain)


async def file_of(node: Running, chunk_id: bytes) -> bytes:
    reading = await node.node.data.store.read(chunk_id)
    frames = [frame async for frame in reading.frames()]
    await reading.close()
    return reading.envelope.header + b"".join(frames) + reading.envelope.trailer


async def holders(nodes: list[Running], chunk_id: bytes) -> set[str]:
    found = set()
    for node in nodes:
        if await node.node.data.store.find([chunk_id]):
            found.add(node.place.id)
    return found


@pytest.mark.parametrize("source", [True, False])
async def test_a_chunk_is_acked_and_then_safe_where_the_brain_wanted_it(
    five: list[Running], source: bool
) -> None:
    told: list[tuple[str, Delivered]] = []
    node, election = setting(five, source=source)
    done = await node.node.deliverer.deliver(
        sealing().parts,
        election,
        TERMS,
        on_acked=lambda done: told.append(("acked", done)),
        on_safe=lambda done: told.append(("safe", done)),
    )
    done.demand_safe()
    assert done.reached.failures == ()
    assert [what for what, _ in told] == ["acked", "safe"]
    assert {copy.node for copy in done.reached.copies} == {s.node for s in election.targets}
    assert await holders(five, done.chunk_id) == {s.node for s in election.targets}
    there = [n for n in five if n.place.id in {s.node for s in election.targets}]
    assert len({await file_of(node, done.chunk_id) for node in there}) == 1
    for node in there:
        assert [p.holder for p in await node.node.data.store.pins(done.chunk_id)] == ["job-1"]


async def test_a_target_that_refuses_is_replaced_by_a_spare(five: list[Running]) -> None:
    sender, election = setting(five, source=False)
    victim = next(n for n in five if n.place.id == election.targets[0].node)
    mood(victim, refuses=True)
    done = await sender.node.deliverer.deliver(sealing().parts, election, TERMS)
    done.demand_safe()
    there = await holders(five, done.chunk_id)
    assert len(there) == 3
    assert victim.place.id not in there
    assert {copy.node for copy in done.reached.copies} == there
    (failed,) = done.reached.failures
    assert (failed.node, failed.reason) == (victim.place.id, "NO_ROOM")


async def test_a_disk_that_is_a_hundred_times_slower_is_not_waited_for(
    five: list[Running],
) -> None:
    sender, election = setting(five, source=False)
    victim = next(n for n in five if n.place.id == election.tree[-1].target)
    mood(victim, slow_s=5.0)
    deliverer = replace(sender.node.deliverer, patience=Patience(late_s_min=0.5, late_times=3.0))
    began_s = time.monotonic()
    done = await deliverer.deliver(sealing().parts, election, TERMS)
    done.demand_safe()
    assert time.monotonic() - began_s < 4 * 5.0  # Three frames and the end are 25 s there.
    assert victim.place.id not in {copy.node for copy in done.reached.copies}
    (late,) = (f for f in done.reached.failures if f.node == victim.place.id)
    assert late.reason == "DEADLINE"
    assert "others have stored it" in late.message


async def test_when_nobody_has_taken_it_the_chunk_is_sealed_anew(five: list[Running]) -> None:
    election = elected(five[0], "anew", Policy(2, ((Level.NODE, 2),)))
    refusing = {seat.node for seat in election.targets}
    for node in five:
        mood(node, refuses=node.place.id in refusing)
    chunk = sealing()
    opened = []

    def source() -> Parts:
        opened.append(chunk)
        return chunk.parts()

    done = await five[0].node.deliverer.deliver(source, election, TERMS)
    done.demand_safe()
    assert len(opened) == 2
    assert chunk.sealed is not None
    assert chunk.sealed.chunk_id == done.chunk_id
    there = await holders(five, done.chunk_id)
    assert len(there) == 2
    assert not there & refusing


async def test_when_all_are_busy_for_a_moment_it_waits_and_is_safe(five: list[Running]) -> None:
    for node in five:
        mood(node, busy_puts=3)
    election = elected(five[0], "busy")
    done = await five[0].node.deliverer.deliver(sealing().parts, election, TERMS)
    done.demand_safe()
    assert len(await holders(five, done.chunk_id)) >= 3


async def test_what_is_short_says_what_was_reached(five: list[Running]) -> None:
    sender, election = setting(five, source=True)
    others = [node for node in five if node is not sender]
    for node in others[1:]:
        mood(node, refuses=True)
    deliverer = replace(sender.node.deliverer, patience=Patience(tries_max=2))
    done = await deliverer.deliver(sealing().parts, election, TERMS)
    assert not done.reached.safe
    assert done.reached.acked == (len(done.reached.copies) >= 2)
    assert {c.node for c in done.reached.copies} == await holders(five, done.chunk_id)
    with pytest.raises(McError, match="3 nodes are wanted") as short:
        done.demand_safe()
    assert short.value.reason == "COPIES_MISSING"
    assert "NO_ROOM: this disk took a dislike" in short.value.message


async def never() -> Parts:
    raise AssertionError("nothing is sent from here")
    yield


async def test_known_copies_are_pinned_and_feed_those_that_lack_one(five: list[Running]) -> None:
    sender, election = setting(five, source=False)
    deliverer = sender.node.deliverer
    one = elected(sender, election.ask.key, Policy(1, ()))
    first = await deliverer.deliver(sealing().parts, one, TERMS)
    assert len(await holders(five, first.chunk_id)) == 1
    terms = Terms("job-2", "task-1", ROOM, first.chunk_id)
    done = await deliverer.deliver(never, election, terms)
    done.demand_safe()
    there = [n for n in five if n.place.id in await holders(five, first.chunk_id)]
    assert len(there) == 3
    for node in there:
        pins = {pin.holder for pin in await node.node.data.store.pins(first.chunk_id)}
        assert "job-2" in pins
    again = await deliverer.deliver(never, election, Terms("job-3", "", ROOM, first.chunk_id))
    assert all(copy.already for copy in again.reached.copies)
    assert again.reached.safe


async def test_a_source_that_breaks_off_leaves_nothing_anywhere(five: list[Running]) -> None:
    async def broken() -> Parts:
        async for part in sealing().parts():
            yield part
            if part.index == 1:
                raise McError("FAILED", "the source has changed meanwhile")

    sender, election = setting(five, source=True)
    used = [node.node.data.store.health().bytes_free for node in five]
    with pytest.raises(McError, match="has changed meanwhile"):
        await sender.node.deliverer.deliver(broken, election, TERMS)
    await until(lambda: [n.node.data.store.health().bytes_free for n in five] == used)


async def test_many_chunks_at_once_are_all_safe(five: list[Running]) -> None:
    deliverer = five[0].node.deliverer
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                deliverer.deliver(sealing().parts, elected(five[0], f"many-{n}"), TERMS)
            )
            for n in range(8)
        ]
    for task in tasks:
        task.result().demand_safe()
    assert len({task.result().chunk_id for task in tasks}) == 8


async def test_more_at_once_than_there_is_room_for_wait_for_each_other(five: list[Running]) -> None:
    node = five[0]
    budget, taken = node.node.data.budget, []
    with pytest.raises(McError, match="wait here"):
        while True:
            taken.append(budget.lease(node.place.id))
    election = elected(node, "waits")
    async with asyncio.TaskGroup() as group:
        work = node.node.deliverer.deliver(sealing().parts, election, TERMS)
        delivering = group.create_task(work)
        done, _ = await asyncio.wait([delivering], timeout=0.2)
        assert not done
        for lease in taken:
            lease.__exit__()
    delivering.result().demand_safe()
    assert budget.used_bytes == 0


async def test_every_hop_of_a_chunk_is_in_one_trace(five: list[Running]) -> None:
    sender, election = setting(five, source=False)
    victim = next(n for n in five if n.place.id == election.tree[-1].target)
    mood(victim, refuses=True)
    watcher = watcher_of(sender)
    with watcher.span("test") as span:
        done = await sender.node.deliverer.deliver(sealing().parts, election, TERMS)
    done.demand_safe()
    (put,) = (s for s in watcher.spans_of(span.trace_id) if s.name == "chunk.deliver")
    assert put.attributes["mc.outcome"] == "safe"

    def seen() -> bool:
        names = [s.name for n in five for s in watcher_of(n).spans_of(span.trace_id)]
        taken = names.count("chunk.receive") + names.count("chunk.relay")
        return taken == 4 and "chunk.push" in names

    await until(seen)


def watcher_of(node: Running) -> Any:
    return node.node.data.ground.watcher
