"""What becomes of a put when a node of its tree, a disk or the sender fails: every other node goes
on, and each node has exactly one fact.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.status import STATUS_KEY, encode
from multicloud.v1 import chunk_pb2, common_pb2
from nodeagent.store.volumes import Volumes
from nodeagent.wire.facts import Fact
from tests.support.bad_child import Script, bad_child
from tests.support.chunks import Chunk, seal
from tests.support.faulty import Faulty
from tests.support.nodes import Running, free_ports, make_place, running, until
from tests.support.people import People
from tests.support.puts import opening, parts_of, put, sending, tree

BAD, GRANDCHILD = "b" * 16, "c" * 16
QUICK = {"stream_stall_s": 1, "reach_s": 3}
CHUNK = seal(b"chunk" * 4000)


@dataclass
class Family:
    """A node, and its child that fails."""

    node: Running
    sender: Credentials
    store: Faulty

    async def put(self, chunk: Chunk = CHUNK, *trees: chunk_pb2.PutTree) -> dict[str, Fact]:
        trees = trees or (tree(BAD, tree(GRANDCHILD)),)
        facts = await put(self.node, self.sender, chunk, *trees)
        assert max(Counter(fact.node for fact in facts).values()) == 1
        return {fact.node: fact for fact in facts}


@pytest.fixture
async def family(people: People, sender: Credentials, tmp_path: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def made(script: Script | str) -> Family:
            address = script if isinstance(script, str) else ""
            if not address:
                assert not isinstance(script, str)
                address = await stack.enter_async_context(bad_child(people.node(BAD), script))
            links = {f"dev.peers.{BAD}": {"api": address, "watch": address}}
            place = make_place(people, tmp_path, 1, {"limits": QUICK, **links})
            store = Faulty(place.id, clock=lambda: 1e9)
            node = await stack.enter_async_context(running(place, Volumes([store])))
            return Family(node, sender, store)

        yield made


def reason(fact: Fact) -> str:
    return fact.error.reason if fact.error else fact.outcome


async def say(context: Any, **answer: Any) -> None:
    await context.write(chunk_pb2.PutChunkResponse(**answer).SerializeToString())


async def stands_still(context: Any) -> None:
    await asyncio.Event().wait()


async def takes_all_and_is_silent(context: Any) -> None:
    await say(context, credit=chunk_pb2.Credit(bytes=1 << 30))
    while await context.read() is not grpc.aio.EOF:
        pass
    await asyncio.Event().wait()


async def lives_and_gives_no_credit(context: Any) -> None:
    while True:
        await say(context, credit=chunk_pb2.Credit())
        await asyncio.sleep(0.2)


async def refuses(context: Any) -> None:
    error = McError("TOO_BUSY", "no window is free", retry_after_s=2.5)
    trailing = ((STATUS_KEY, encode(error)),)
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, error.message, trailing)


async def breaks_in_the_middle(context: Any) -> None:
    await say(context, credit=chunk_pb2.Credit(bytes=100))
    await context.read()
    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


async def ends_without_a_word(context: Any) -> None:
    await context.read()


async def claims_another_chunk(context: Any) -> None:
    copy = common_pb2.Copy(chunk_id=b"x" * 32, node=BAD, volume="v")
    await say(context, stored=chunk_pb2.Stored(copy=copy))
    await asyncio.Event().wait()


async def claims_before_it_has_it(context: Any) -> None:
    copy = common_pb2.Copy(chunk_id=CHUNK.id, node=BAD, volume="v")
    await say(context, stored=chunk_pb2.Stored(copy=copy))
    await asyncio.Event().wait()


async def speaks_of_others(context: Any) -> None:
    copy = common_pb2.Copy(chunk_id=CHUNK.id, node="0" * 15 + "1", volume="v")
    await say(context, already_here=chunk_pb2.AlreadyHere(copy=copy))
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (stands_still, "STALLED"),
        (takes_all_and_is_silent, "STALLED"),
        (lives_and_gives_no_credit, "STALLED"),
        (refuses, "TOO_BUSY"),
        (breaks_in_the_middle, "UNREACHABLE"),
        (ends_without_a_word, "FAILED"),
        (claims_another_chunk, "FAILED"),
        (claims_before_it_has_it, "FAILED"),
        (speaks_of_others, "FAILED"),
    ],
)
async def test_a_child_that_fails_stops_nobody(family: Any, script: Script, why: str) -> None:
    one: Family = await family(script)
    facts = await one.put()
    assert {node: reason(fact) for node, fact in facts.items()} == {
        one.node.place.id: "stored",
        BAD: why,
        GRANDCHILD: "UNREACHABLE",
    }
    if why == "TOO_BUSY":
        error = facts[BAD].error
        assert error
        assert error.retry_after_s == 2.5
    await until(lambda: one.node.node.data.budget.used_bytes == 0)


async def test_a_child_at_an_address_where_nobody_listens_is_unreachable(family: Any) -> None:
    one: Family = await family(f"127.0.0.1:{free_ports(1)[0]}")
    facts = await one.put()
    assert reason(facts[one.node.place.id]) == "stored"
    assert reason(facts[BAD]) == "UNREACHABLE"


async def test_a_child_that_accepts_and_never_speaks_is_unreachable_soon(family: Any) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        one: Family = await family(f"127.0.0.1:{mute.getsockname()[1]}")
        facts = await one.put()
    assert reason(facts[one.node.place.id]) == "stored"
    assert reason(facts[BAD]) == "UNREACHABLE"


async def test_a_child_that_nobody_knows_is_told_as_that(family: Any) -> None:
    one: Family = await family(stands_still)
    facts = await one.put(CHUNK, tree("d" * 16, tree(GRANDCHILD)))
    assert reason(facts["d" * 16]) == "NODE_UNKNOWN"
    assert reason(facts[GRANDCHILD]) == "UNREACHABLE"
    assert reason(facts[one.node.place.id]) == "stored"


class Child:
    """A child that does everything right, and remembers what it got."""

    def __init__(self) -> None:
        self.parts: list[chunk_pb2.PutChunkRequest] = []
        self.ended_by: BaseException | None = None
        self.ended = asyncio.Event()

    async def __call__(self, context: Any) -> None:
        try:
            await say(context, credit=chunk_pb2.Credit(bytes=1 << 30))
            while (raw := await context.read()) is not grpc.aio.EOF:
                self.parts.append(chunk_pb2.PutChunkRequest.FromString(raw))
            chunk_id = self.parts[-1].trailer.chunk_id
            copy = common_pb2.Copy(chunk_id=chunk_id, node=BAD, volume="v")
            for _ in range(2):
                await say(context, stored=chunk_pb2.Stored(copy=copy))
        except BaseException as error:
            self.ended_by = error
            raise
        finally:
            self.ended.set()

    def frames(self) -> Sequence[bytes]:
        return [p.frame.data for p in self.parts if p.WhichOneof("part") == "frame"]


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("at once", "NO_ROOM"),
        ("in the middle", "VOLUME_FAILED"),
        ("at the end", "VOLUME_FAILED"),
        ("hangs", "STALLED"),
    ],
)
async def test_a_failing_disk_is_a_fact_and_the_relay_goes_on(
    family: Any, fails: str, why: str
) -> None:
    child = Child()
    one: Family = await family(child)
    one.store.fails = fails
    facts = await one.put(CHUNK, tree(BAD))
    assert reason(facts[one.node.place.id]) == why
    assert reason(facts[BAD]) == "stored"
    assert tuple(child.frames()) == CHUNK.frames
    assert one.store.health().chunks == 0
    assert one.store.health().bytes_free == one.store.health().bytes_total
    await until(lambda: one.node.node.data.budget.used_bytes == 0)


async def test_nobody_left_to_take_it_ends_the_stream_early(family: Any) -> None:
    one: Family = await family(refuses)
    one.store.fails = "at once"
    async with sending(one.node, one.sender) as stream:
        await stream.send(opening(tree(BAD)))
        facts = await stream.outcome()
    assert {fact.node: reason(fact) for fact in facts} == {
        one.node.place.id: "NO_ROOM",
        BAD: "TOO_BUSY",
    }


async def test_children_are_told_when_the_sender_resets(family: Any) -> None:
    child = Child()
    one: Family = await family(child)
    async with sending(one.node, one.sender) as stream:
        await stream.send(opening(tree(BAD)))
        for part in parts_of(CHUNK)[:3]:
            await stream.part(part)
        await until(lambda: len(child.parts) == 4)
    async with asyncio.timeout(10):
        await child.ended.wait()
    assert isinstance(child.ended_by, asyncio.CancelledError)
    await until(lambda: one.store.health().bytes_free == one.store.health().bytes_total)
    await until(lambda: one.node.node.data.budget.used_bytes == 0)


async def test_children_are_told_when_a_frame_is_damaged(family: Any) -> None:
    child = Child()
    one: Family = await family(child)
    parts = parts_of(CHUNK)
    broken = bytearray(parts[3].raw)
    broken[50] ^= 1
    async with sending(one.node, one.sender) as stream:
        await stream.send(opening(tree(BAD)))
        for part in parts[:3]:
            await stream.part(part)
        await until(lambda: len(child.parts) == 4)
        await stream.send(bytes(broken), parts[3].cost_bytes)
        with pytest.raises(McError) as refused:
            await stream.outcome()
    assert refused.value.reason == "DAMAGE"
    async with asyncio.timeout(10):
        await child.ended.wait()
    assert tuple(child.frames()) == CHUNK.frames[:2]
    assert one.store.health().chunks == 0


async def test_a_sender_that_stands_still_is_ended_and_one_that_waits_for_credit_is_not(
    family: Any,
) -> None:
    one: Family = await family(stands_still)
    async with sending(one.node, one.sender) as stream:
        await stream.send(opening())
        await stream.part(parts_of(CHUNK)[0])
        with pytest.raises(McError) as refused:
            await stream.outcome()
    assert refused.value.reason == "STALLED"
    await until(lambda: one.node.node.data.budget.used_bytes == 0)
    big = seal(b"\0" * (8 << 20), frame_bytes=1 << 20)
    one.store.fails = "at once"  # Only the child is left, and it takes nothing for a second.
    facts = await one.put(big, tree(BAD))
    assert reason(facts[BAD]) == "STALLED"
