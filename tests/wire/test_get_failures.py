"""A read that goes wrong: a reader that stands still gives its place back, and of a node that sends
anything but the chunk not a byte is believed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.wire.fetch import fetch
from nodeagent.wire.outlet import Purse
from tests.support.bad_child import Script, bad_child
from tests.support.chunks import seal
from tests.support.nodes import Running, channel, make_place, refused, running, until
from tests.support.people import People
from tests.support.puts import put

LIAR = "b" * 16
QUICK = {"stream_stall_s": 1}
CHUNK, OTHER = seal(b"chunk" * 4000), seal(b"other" * 4000)
GET = "/multicloud.v1.ChunkService/GetChunk"


@pytest.fixture
async def reader(people: People, tmp_path: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def made(script: Script) -> Running:
            address = await stack.enter_async_context(bad_child(people.node(LIAR), script))
            links = {f"dev.peers.{LIAR}": {"api": address, "watch": address}}
            place = make_place(people, tmp_path, 1, {"limits": QUICK, **links})
            return await stack.enter_async_context(running(place))

        yield made


async def envelope(context: Any, trailer: bytes = CHUNK.trailer) -> None:
    said = chunk_pb2.GetEnvelope(header=CHUNK.header, trailer=trailer)
    await context.write(chunk_pb2.GetChunkResponse(envelope=said).SerializeToString())


async def frame(context: Any, index: int, data: bytes) -> None:
    said = chunk_pb2.Frame(index=index, data=data, leaf=CHUNK.envelope().entries[index].leaf)
    await context.write(chunk_pb2.GetChunkResponse(frame=said).SerializeToString())


async def until_it_is_left() -> None:
    """The reader leaves; a call that ended before would have a reason of its own."""
    await asyncio.Event().wait()


async def another_trailer(context: Any) -> None:
    await envelope(context, OTHER.trailer)
    await until_it_is_left()


async def another_frame(context: Any) -> None:
    await envelope(context)
    await frame(context, 0, OTHER.frames[0])
    await until_it_is_left()


async def frames_in_another_order(context: Any) -> None:
    await envelope(context)
    await frame(context, 1, CHUNK.frames[1])
    await until_it_is_left()


async def an_early_end(context: Any) -> None:
    await envelope(context)
    await frame(context, 0, CHUNK.frames[0])


async def a_frame_before_the_envelope(context: Any) -> None:
    await frame(context, 0, CHUNK.frames[0])
    await until_it_is_left()


async def silence(context: Any) -> None:
    await envelope(context)
    await until_it_is_left()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (another_trailer, "DAMAGE"),
        (another_frame, "DAMAGE"),
        (frames_in_another_order, "DAMAGE"),
        (an_early_end, "DAMAGE"),
        (a_frame_before_the_envelope, "DAMAGE"),
        (silence, "STALLED"),
    ],
)
async def test_nothing_but_the_chunk_is_believed(reader: Any, script: Script, why: str) -> None:
    node: Running = await reader(script)
    ground = node.node.data.ground
    got: list[bytes] = []
    with pytest.raises(McError) as error:
        async with fetch(ground, LIAR, CHUNK.id) as reading:
            async for data in reading.frames():
                got += [data]
    assert error.value.reason == why
    assert got == list(CHUNK.frames[: len(got)])
    assert len(got) == (1 if script is an_early_end else 0)
    assert ground.budget.used_bytes == 0


async def test_a_reader_that_gives_no_credit_is_ended_and_its_place_is_free(
    people: People, tmp_path: Path, sender: Credentials
) -> None:
    async with running(make_place(people, tmp_path, 1, {"limits": QUICK})) as node:
        await put(node, sender, CHUNK)
        async with channel(node, sender) as opened:
            call: Any = opened.stream_stream(
                GET, request_serializer=chunk_pb2.GetChunkRequest.SerializeToString
            )()
            opening = chunk_pb2.GetOpening(chunk_id=CHUNK.id)
            await call.write(chunk_pb2.GetChunkRequest(opening=opening))
            assert await call.read() is not grpc.aio.EOF
            assert node.node.data.budget.used_bytes
            assert (await refused(call.read())).reason == "STALLED"
        await until(lambda: node.node.data.budget.used_bytes == 0)


async def test_credit_is_spent_once() -> None:
    purse = Purse()
    purse.add(10)
    await purse.spend(7)
    assert (purse.covers(3), purse.covers(4)) == (True, False)
