"""Any sequence of messages to PutChunk gets facts or a typed refusal, and leaves nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.wire.facts import Fact
from nodeagent.wire.parts import read_part
from tests.support.chunks import seal
from tests.support.nodes import Running, channel, make_place, running, until
from tests.support.people import People
from tests.support.puts import ROOM, opening, parts_of, put_raw, sending_on, tree

CHUNKS = [seal(bytes([n]) * size) for n, size in enumerate((0, 1, 4096, 9000, 20_000))]
OWN = f"{1:016x}"
WITHIN_S = 15.0
# What a sender may be refused with: everything else would be a defect of the node.
TYPED = {"BAD_REQUEST", "DAMAGE", "TOO_LARGE", "NO_ROOM", "TOO_BUSY", "STALLED"}

Messages = list[bytes]
Mutation = Callable[[Messages], Messages]


def whole(chunk_number: int, opened: bytes) -> Messages:
    return [opened, *(part.raw for part in parts_of(CHUNKS[chunk_number]))]


OPENINGS = st.one_of(
    st.just(opening()),
    st.builds(
        lambda job, size, hint: opening(job=job, sealed_size_bytes_max=size, chunk_id=hint),
        st.sampled_from(["job", "", "a/b", "x" * 200]),
        st.sampled_from([0, 1, 100, 5000, ROOM, 1 << 40, (1 << 64) - 1]),
        st.sampled_from([b"", b"short", b"0" * 32, CHUNKS[2].id, CHUNKS[3].id]),
    ),
    st.just(opening(tree(OWN))),
    st.just(opening(tree("d" * 16, tree("d" * 16)))),
    st.just(opening(tree(""))),
    st.just(opening(*(tree(f"{n:016x}") for n in range(2, 30)))),
)


@st.composite
def mutations(draw: st.DrawFn) -> Mutation:
    at = draw(st.integers(0, 8))
    other = draw(st.integers(0, 8))
    junk = draw(st.binary(max_size=40))
    kind = draw(
        st.sampled_from(["drop", "double", "swap", "cut", "flip", "junk", "late", "tail", "empty"])
    )

    def change(messages: Messages) -> Messages:
        if not messages:
            return [junk]
        one, two = at % len(messages), other % len(messages)
        made = list(messages)
        if kind == "drop":
            del made[one]
        elif kind == "double":
            made.insert(two, made[one])
        elif kind == "swap":
            made[one], made[two] = made[two], made[one]
        elif kind == "cut":
            made = made[:one]
        elif kind == "flip" and made[one]:
            raw = bytearray(made[one])
            raw[other * 31 % len(raw)] ^= 1 << at % 8
            made[one] = bytes(raw)
        elif kind == "junk":
            made.insert(one, junk)
        elif kind == "late":
            made.append(made[one])
        elif kind == "tail":
            made[one] += junk
        elif kind == "empty":
            made[one] = b""
        return made

    return change


@dataclass
class Target:
    node: Running
    opened: grpc.aio.Channel

    async def settles(self, messages: Sequence[bytes]) -> None:
        store = self.node.node.data.store
        facts: list[Fact] = []
        refused: McError | None = None
        try:
            async with asyncio.timeout(WITHIN_S):
                facts = await put_raw(self.opened, messages)
        except McError as error:
            refused = error
        own = [fact for fact in facts if fact.node == OWN]
        ended_by = refused or own[0].error
        assert ended_by is None or ended_by.reason in TYPED
        assert refused or len(own) == 1
        assert len({fact.node for fact in facts}) == len(facts)
        await until(lambda: self.node.node.data.budget.used_bytes == 0)
        health = store.health()
        free = health.bytes_total - health.bytes_used - health.bytes_trash
        await until(lambda: store.health().bytes_free == free)
        known = {chunk.id for chunk in CHUNKS}
        assert {held.chunk_id async for held in store.list()} <= known


@pytest.fixture(scope="module")
async def target(
    people: People, sender: Credentials, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    place = make_place(
        people, tmp_path_factory.mktemp("fuzz"), 1, {"limits": {"stream_stall_s": 1}}
    )
    async with running(place) as node:
        async with channel(node, sender) as opened:
            yield Target(node, opened)


FUZZ: Any = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(
    chunk=st.integers(0, len(CHUNKS) - 1),
    opened=OPENINGS,
    changes=st.lists(mutations(), max_size=3),
)
async def test_no_sequence_of_messages_leads_anywhere_else(
    target: Target, chunk: int, opened: bytes, changes: list[Mutation]
) -> None:
    messages = whole(chunk, opened)
    for change in changes:
        messages = change(messages)
    await target.settles(messages)


@FUZZ
@given(chunk=st.integers(0, len(CHUNKS) - 1), upto=st.integers(0, 8))
async def test_a_reset_at_any_message_leaves_nothing(target: Target, chunk: int, upto: int) -> None:
    async with sending_on(target.opened) as stream:
        for message in whole(chunk, opening())[:upto]:
            await stream.send(message)
    await until(lambda: target.node.node.data.budget.used_bytes == 0)


@given(
    raw=st.binary(max_size=200), prefix=st.sampled_from([b"", b"\x1a", b"\x1a\x05\x12", b"\x22"])
)
def test_no_message_is_read_otherwise_than_protobuf_reads_it(raw: bytes, prefix: bytes) -> None:
    agrees(prefix + raw)


@given(
    index=st.integers(0, (1 << 32) - 1),
    data=st.binary(max_size=300),
    leaf=st.binary(max_size=40),
    tail=st.binary(max_size=4),
    cut=st.integers(0, 6),
)
def test_no_frame_is_read_otherwise_than_protobuf_reads_it(
    index: int, data: bytes, leaf: bytes, tail: bytes, cut: int
) -> None:
    frame = chunk_pb2.Frame(index=index, data=data, leaf=leaf)
    raw = chunk_pb2.PutChunkRequest(frame=frame).SerializeToString()
    agrees(raw)
    agrees(raw + tail)
    agrees(raw[: len(raw) - cut])


def agrees(raw: bytes) -> None:
    """Either both refuse it or both find the same frame."""
    refused, part = "", None
    try:
        part = read_part(raw)
    except McError as error:
        refused = error.reason
    if part is None:
        assert refused == "BAD_REQUEST"
        return
    said = chunk_pb2.PutChunkRequest.FromString(raw)
    if said.WhichOneof("part") == "frame":
        assert (part.index, bytes(part.data), part.leaf) == (
            said.frame.index,
            said.frame.data,
            said.frame.leaf,
        )
    else:
        assert part.kind.value == said.WhichOneof("part")
