"""Chunks are read, looked for, proven, deleted, unpinned and pushed between real nodes."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from blake3 import blake3

from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import chunk_pb2
from nodeagent.rpc.access import ADMIN, OPERATOR
from nodeagent.store.contract import Pin
from nodeagent.wire.fetch import fetch
from nodeagent.wire.parts import checked, header_part
from tests.support.chunks import Chunk, seal
from tests.support.nodes import Running, channel, refused
from tests.support.people import People
from tests.support.puts import opening, parts_of, put, sending, stream_of, tree

GET = "/multicloud.v1.ChunkService/GetChunk"
NONCE = b"n" * 16
NOWHERE = b"0" * 32


def seal_fresh(number: int) -> Chunk:
    return seal(f"chunk {number} ".encode() * 2000)


async def stored(node: Running, sender: Credentials, number: int) -> Chunk:
    chunk = seal_fresh(number)
    await put(node, sender, chunk, job=f"job-{number}")
    return chunk


class Get:
    """A GetChunk by hand."""

    def __init__(self, opened: grpc.aio.Channel) -> None:
        self.call: Any = opened.stream_stream(
            GET,
            request_serializer=chunk_pb2.GetChunkRequest.SerializeToString,
            response_deserializer=chunk_pb2.GetChunkResponse.FromString,
        )()

    async def open(self, chunk_id: bytes, **more: int) -> None:
        said = chunk_pb2.GetOpening(chunk_id=chunk_id, **more)
        await self.call.write(chunk_pb2.GetChunkRequest(opening=said))

    async def credit(self, size: int) -> None:
        credit = chunk_pb2.Credit(bytes=size)
        await self.call.write(chunk_pb2.GetChunkRequest(credit=credit))

    async def read(self) -> chunk_pb2.GetChunkResponse:
        try:
            answer = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise decode(error) from error
        assert isinstance(answer, chunk_pb2.GetChunkResponse)
        return answer


@pytest.mark.parametrize(
    ("first", "count", "frames"), [(0, 0, slice(None)), (2, 0, slice(2, None)), (1, 2, slice(1, 3))]
)
async def test_a_chunk_is_read_from_any_frame(
    trio: list[Running], sender: Credentials, first: int, count: int, frames: slice
) -> None:
    chunk = await stored(trio[0], sender, 1)
    assert len(chunk.frames) == 4
    ground = trio[1].node.data.ground
    async with fetch(ground, trio[0].place.id, chunk.id, first, count) as reading:
        assert reading.envelope == chunk.envelope()
        assert [frame async for frame in reading.frames()] == list(chunk.frames[frames])
    assert ground.budget.used_bytes == 0


async def test_a_large_chunk_is_read_whole(trio: list[Running], sender: Credentials) -> None:
    chunk = seal(bytes(range(256)) * 40_000, frame_bytes=1 << 20)
    await put(trio[0], sender, chunk)
    async with fetch(trio[2].node.data.ground, trio[0].place.id, chunk.id) as reading:
        frames = [frame async for frame in reading.frames()]
    assert tuple(frames) == chunk.frames


async def test_not_a_byte_is_sent_beyond_the_reader_s_credit(
    trio: list[Running], sender: Credentials
) -> None:
    chunk = await stored(trio[0], sender, 1)
    size = len(chunk.frames[0])
    async with channel(trio[0], sender) as opened:
        get = Get(opened)
        await get.open(chunk.id)
        assert (await get.read()).WhichOneof("part") == "envelope"
        await get.credit(2 * size - 1)
        assert (await get.read()).frame.data == chunk.frames[0]
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(get.read())
            assert await asyncio.wait([reading], timeout=0.3) == (set(), {reading})
            await get.credit(1)
            assert (await reading).frame.data == chunk.frames[1]
        get.call.cancel()


@pytest.mark.parametrize(
    ("chunk_id", "more", "reason"),
    [
        (NOWHERE, {}, "NOT_FOUND"),
        (b"short", {}, "BAD_REQUEST"),
        (None, {"first_frame": 4000}, "BAD_REQUEST"),
    ],
)
async def test_a_read_of_what_is_not_there_is_refused(
    trio: list[Running], sender: Credentials, chunk_id: bytes | None, more: Any, reason: str
) -> None:
    chunk = await stored(trio[0], sender, 1)
    async with channel(trio[0], sender) as opened:
        get = Get(opened)
        await get.open(chunk.id if chunk_id is None else chunk_id, **more)
        with pytest.raises(McError) as error:
            await get.read()
    assert error.value.reason == reason


async def test_only_nodes_may_touch_chunks(trio: list[Running], people: People) -> None:
    async with channel(trio[0], people.operator("ada", ADMIN, OPERATOR)) as opened:
        get = Get(opened)
        with pytest.raises(McError) as error:
            await get.read()
    assert error.value.reason == "NOT_ALLOWED"


async def test_have_answers_with_what_is_here_and_pins_it_for_the_job(
    trio: list[Running], sender: Credentials
) -> None:
    here = await stored(trio[0], sender, 2)
    asking = trio[1].node.data.client
    copies = await asking.have(trio[0].place.id, [here.id, NOWHERE], job="job-7")
    (volume,) = trio[0].node.data.store.healths()
    assert [(c.chunk_id, c.node, c.volume) for c in copies] == [(here.id, trio[0].place.id, volume)]
    assert Pin("job-7") in await trio[0].node.data.store.pins(here.id)
    assert await asking.unpin(trio[0].place.id, "job-7") == 1
    assert Pin("job-7") not in await trio[0].node.data.store.pins(here.id)


async def test_a_promise_is_kept_for_the_node_that_asked_and_so_long(
    trio: list[Running], sender: Credentials
) -> None:
    here = await stored(trio[0], sender, 3)
    await trio[1].node.data.client.have(trio[0].place.id, [here.id], keep_s=1000)
    pins = {pin.holder: pin for pin in await trio[0].node.data.store.pins(here.id)}
    promise = pins[f"promise/{trio[1].place.id}"]
    assert 0 < promise.until_unix_s - time.time() <= 1000


async def test_a_node_proves_its_copies_with_a_nonce(
    trio: list[Running], sender: Credentials
) -> None:
    here = await stored(trio[0], sender, 4)
    proofs = await trio[1].node.data.client.verify(trio[0].place.id, [here.id, NOWHERE], NONCE)
    good, bad = proofs
    key = blake3(NONCE).digest()
    assert (good.chunk_id, good.good) == (here.id, True)
    assert good.proof == (await trio[0].node.data.store.verify(here.id, NONCE)).proof
    assert good.proof != key
    assert (bad.good, bad.reason) == (False, "NOT_FOUND")
    (fresh,) = await trio[1].node.data.client.verify(trio[0].place.id, [here.id], NONCE, fresh_s=60)
    assert (fresh.good, fresh.proof) == (True, b"")


async def test_only_what_nobody_pins_is_deleted(trio: list[Running], sender: Credentials) -> None:
    pinned, loose = await stored(trio[0], sender, 5), await stored(trio[0], sender, 6)
    client, store = trio[1].node.data.client, trio[0].node.data.store
    await client.unpin(trio[0].place.id, "job-6")
    results = await client.delete(trio[0].place.id, [pinned.id, loose.id, NOWHERE], "test")
    assert [(r.trashed, r.reason) for r in results] == [
        (False, "PINNED"),
        (True, ""),
        (False, "NOT_FOUND"),
    ]
    assert [held.chunk_id for held in await store.find([pinned.id, loose.id])] == [pinned.id]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("HaveChunks", chunk_pb2.HaveChunksRequest(chunk_ids=[NOWHERE])),
        ("HaveChunks", chunk_pb2.HaveChunksRequest(job="promise/x", chunk_ids=[NOWHERE])),
        ("HaveChunks", chunk_pb2.HaveChunksRequest(job="j", chunk_ids=[b"short"])),
        ("HaveChunks", chunk_pb2.HaveChunksRequest(keep_s=1 << 31, chunk_ids=[NOWHERE])),
        ("HaveChunks", chunk_pb2.HaveChunksRequest(job="j", chunk_ids=[NOWHERE] * 1025)),
        ("VerifyChunks", chunk_pb2.VerifyChunksRequest(nonce=b"n" * 15, chunk_ids=[NOWHERE])),
        ("UnpinChunks", chunk_pb2.UnpinChunksRequest()),
    ],
)
async def test_requests_that_make_no_sense_are_refused(
    trio: list[Running], sender: Credentials, method: str, request_: Any
) -> None:
    async with channel(trio[0], sender) as opened:
        call = opened.unary_unary(
            f"/multicloud.v1.ChunkService/{method}",
            request_serializer=type(request_).SerializeToString,
        )
        assert (await refused(call(request_))).reason in ("BAD_REQUEST", "TOO_LARGE")


async def test_a_holder_pushes_its_chunk_along_a_tree(
    trio: list[Running], sender: Credentials
) -> None:
    a, b, c = trio
    chunk = await stored(a, sender, 8)
    pushed = b.node.data.client.push(
        a.place.id, chunk.id, [tree(b.place.id, tree(c.place.id))], job="job-8"
    )
    facts = [fact async for fact in pushed]
    assert sorted((f.node, f.outcome) for f in facts) == [
        (b.place.id, "stored"),
        (c.place.id, "stored"),
    ]
    again = b.node.data.client.push(a.place.id, chunk.id, [tree(c.place.id)], job="job-9")
    assert [fact.outcome async for fact in again] == ["already_here"]
    assert {pin.holder for pin in await c.node.data.store.pins(chunk.id)} == {"job-8", "job-9"}


async def test_a_push_of_what_is_not_there_is_refused(trio: list[Running]) -> None:
    a, b, _ = trio
    pushed = b.node.data.client.push(a.place.id, NOWHERE, [tree(b.place.id)])
    with pytest.raises(McError) as error:
        _ = [fact async for fact in pushed]
    assert error.value.reason == "NOT_FOUND"


async def test_a_chunk_that_is_here_is_not_sent_again(
    trio: list[Running], sender: Credentials
) -> None:
    chunk = await stored(trio[0], sender, 10)
    async with sending(trio[0], sender) as stream:
        await stream.send(opening(chunk_id=chunk.id, job="job-11"))
        (fact,) = await stream.outcome()
    assert (fact.outcome, fact.chunk_id, stream.credits) == ("already_here", chunk.id, 0)
    assert Pin("job-11") in await trio[0].node.data.store.pins(chunk.id)
    # Not known before, it is sent and dropped, and pinned all the same.
    (fact,) = await put(trio[0], sender, chunk, job="job-12")
    assert fact.outcome == "already_here"
    assert Pin("job-12") in await trio[0].node.data.store.pins(chunk.id)


async def test_a_node_that_has_it_passes_it_on_to_one_that_has_not(
    trio: list[Running], sender: Credentials
) -> None:
    a, b, _ = trio
    chunk = await stored(a, sender, 13)
    facts = await put(a, sender, chunk, tree(b.place.id), chunk_id=chunk.id)
    assert {f.node: f.outcome for f in facts} == {
        a.place.id: "already_here",
        b.place.id: "stored",
    }


async def test_parts_that_do_not_begin_with_the_header_are_refused() -> None:
    parts = parts_of(seal_fresh(1))
    for wrong in (parts[1:], [parts[0], header_part(bytes(parts[0].data))], parts[:-1]):
        async with aclosing(checked(stream_of(wrong), 1 << 20)) as stream:
            with pytest.raises(McError) as error:
                _ = [part async for part in stream]
        assert error.value.reason == "BAD_REQUEST"
