"""What a node tells of its data plane: one trace for a chunk, its metrics, and its volumes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from multicloud.channel import Credentials
from multicloud.v1 import common_pb2
from nodeagent.core.window import WINDOW_BYTES_MIN
from nodeagent.store.contract import VolumeState
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from nodeagent.telemetry import Telemetry
from nodeagent.wire.facts import Fact, Ledger
from nodeagent.wire.flow import Flow
from nodeagent.wire.outlet import Outlet, Terms
from tests.support.chunks import Chunk, seal
from tests.support.meeting import meeting
from tests.support.nodes import Running, make_place, running, until
from tests.support.people import People
from tests.support.puts import ROOM, parts_of, put, stream_of, tree


@pytest.fixture(scope="module")
async def disks(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        yield await meeting(stack, people, tmp_path_factory.mktemp("told"), 3, on_disk=True)


def telemetry(node: Running) -> Telemetry:
    return cast(Telemetry, node.node.data.ground.watcher)


async def sent(a: Running, chunk: Chunk, *trees: Any) -> list[Fact]:
    """From node a, which does not keep it."""
    facts: list[Fact] = []
    ground = a.node.data.ground
    ledger = Ledger(
        [tree_.node for tree_ in trees] + [c.node for t in trees for c in t.children], facts.append
    )
    outlets = [Outlet(ground, tree_, Terms("job-1", "t", ROOM), ledger) for tree_ in trees]
    flow = Flow(outlets, window_bytes=lambda: WINDOW_BYTES_MIN)
    await flow.run(stream_of(parts_of(chunk)))
    return facts


def path(spans: list[tuple[str, ReadableSpan]], leaf: tuple[str, ReadableSpan]) -> list[str]:
    """From the root of the trace to that span, each with its node."""
    by_id = {span.context.span_id: (node, span) for node, span in spans if span.context}
    found: list[str] = []
    at: tuple[str, ReadableSpan] | None = leaf
    while at:
        found.insert(0, f"{at[0]}:{at[1].name}")
        at = by_id.get(at[1].parent.span_id) if at[1].parent else None
    return found


async def test_a_chunk_has_one_trace_over_every_hop_down_to_the_disk(disks: list[Running]) -> None:
    a, b, c = disks
    with telemetry(a).span("put") as root:
        facts = await sent(a, seal(b"traced" * 9000), tree(b.place.id, tree(c.place.id)))
    assert [fact.error for fact in facts] == [None, None]

    def seen() -> list[tuple[str, ReadableSpan]]:
        names = dict(zip("abc", disks, strict=True))
        return [
            (n, s) for n, node in names.items() for s in telemetry(node).spans_of(root.trace_id)
        ]

    await until(lambda: sum(span.name == "ChunkService/PutChunk" for _, span in seen()) == 2)
    to_b = ["a:put", "a:chunk.send", "b:ChunkService/PutChunk", "b:chunk.relay"]
    to_c = [*to_b, "b:chunk.send", "c:ChunkService/PutChunk", "c:chunk.receive"]
    syncs = [path(seen(), one) for one in seen() if one[1].name == "store.datasync"]
    assert sorted(syncs, key=len) == [
        [*to_b, "b:chunk.store", "b:store.datasync"],
        [*to_c, "c:chunk.store", "c:store.datasync"],
    ]


async def test_bytes_and_outcomes_are_counted_without_naming_anything(
    disks: list[Running], sender: Credentials
) -> None:
    a, b, _ = disks
    chunk = seal(b"counted" * 9000)
    await put(a, sender, chunk, tree(b.place.id))
    await until(lambda: b"mc_wire_puts_total" in telemetry(b).metrics_text())
    for node, direction, cloud in ((a, "in", ""), (a, "out", "aws"), (b, "in", "aws")):
        lines = telemetry(node).metrics_text().decode().splitlines()
        (line,) = [
            line
            for line in lines
            if line.startswith("mc_wire_bytes_bytes_total")
            or line.startswith("mc_wire_bytes_total")
            if f'direction="{direction}"' in line and f'provider="{cloud}"' in line
        ]
        assert float(line.rpartition(" ")[2]) >= len(chunk.file)
        said = [line for line in lines if line.startswith("mc_wire")]
        assert not any(chunk.id.hex() in line or a.place.id in line for line in said)
    stored = [line for line in lines if line.startswith("mc_wire_puts") and '"stored"' in line]
    assert stored


async def test_a_node_says_how_its_volumes_are_and_what_room_they_have(
    people: People, tmp_path: Path, sender: Credentials
) -> None:
    place = make_place(people, tmp_path, 1)
    stores = [MemoryStore(name, clock=lambda: 1e9, bytes_total=32 << 20) for name in ("v1", "v2")]
    async with running(place, Volumes(stores)) as one:
        own, body = one.node.roster.own, one.node.body
        await until(lambda: len(own.volumes) == 2)
        assert {v.uuid: v.state for v in own.volumes} == dict.fromkeys(
            ("v1", "v2"), common_pb2.VOLUME_STATE_HEALTHY
        )
        assert (body.facts().bytes_total, body.facts().bytes_free) == (64 << 20, 64 << 20)
        chunk = seal(b"room" * 20_000)
        (fact,) = await put(one, sender, chunk)
        assert fact.error is None
        await until(lambda: body.facts().bytes_free == (64 << 20) - len(chunk.file))

        stores[0].set_state(VolumeState.FAILED)
        stores[1].set_state(VolumeState.READ_ONLY)
        await until(lambda: body.facts().bytes_free == 0)
        await until(
            lambda: (
                [v.state for v in own.volumes]
                == [common_pb2.VOLUME_STATE_FAILED, common_pb2.VOLUME_STATE_READ_ONLY]
            )
        )
        assert body.facts().bytes_total == 64 << 20
