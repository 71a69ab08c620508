"""Upkeep between real nodes: damage is found, repaired over mTLS, proven, examined and told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from multicloud.v1 import admin_pb2
from nodeagent.rpc.access import AUDITOR, OPERATOR
from nodeagent.store.contract import VolumeState
from nodeagent.store.memory import MemoryStore
from tests.support.chunks import Chunk, seal
from tests.support.nodes import Running, admin, channel, refused, until
from tests.support.people import People
from tests.wire.conftest import meeting

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
async def trio(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        nodes = await meeting(stack, people, tmp_path_factory.mktemp("trio"), 3)
        await until(lambda: all(map(knows_all, nodes)))
        yield nodes


def knows_all(node: Running) -> bool:
    told = [one for one in node.node.view().members.values() if one.facts]
    greeted = [peer for peer in node.node.roster.peers.values() if peer.address]
    return len(told) == 3 and len(greeted) == 2


@pytest.fixture
async def ask(trio: list[Running], people: People) -> AsyncIterator[Any]:
    async with channel(trio[0], people.operator("ada", OPERATOR)) as opened:
        yield admin(opened)


def store_of(node: Running) -> MemoryStore:
    (store,) = node.node.data.store.stores
    assert isinstance(store, MemoryStore)
    return store


async def stored(chunk: Chunk, nodes: list[Running]) -> None:
    for node in nodes:
        put = await store_of(node).put(len(chunk.file))
        await put.write(chunk.file)
        await put.commit(chunk.envelope(), None)


def chunk(letter: str) -> Chunk:
    return seal(letter.encode() * 9000, salt=letter.encode() * 32)


async def states(ask: Any, chunk_id: bytes) -> dict[str, str]:
    answer = await ask.VerifyChunk(admin_pb2.VerifyChunkRequest(chunk_id=chunk_id), timeout=10)
    assert answer.replicas == 3
    return {
        one.node: admin_pb2.CopyState.Name(one.state).removeprefix("COPY_STATE_").lower()
        for one in answer.copies
    }


async def examined(ask: Any, node: str, **more: bool) -> dict[str, admin_pb2.Finding]:
    request = admin_pb2.ExamineNodeRequest(node=node, **more)
    return {f.code: f for f in (await ask.ExamineNode(request, timeout=30)).findings}


async def events(node: Running, name: str) -> list[dict[str, str]]:
    return [
        dict(one.facts) async for one in node.node.body.events.read(0, False) if one.name == name
    ]


async def test_damage_that_is_found_is_repaired_from_another_node_at_once(
    trio: list[Running], ask: Any
) -> None:
    one = chunk("a")
    await stored(one, trio)
    assert await states(ask, one.id) == {"node-1": "good", "node-2": "good", "node-3": "good"}
    store_of(trio[2]).spoil(one.id, 100)
    assert (await states(ask, one.id))["node-3"] == "bad"
    await until(lambda: trio[2].node.upkeep.upkeep.damages.open == {})
    assert (await states(ask, one.id))["node-3"] == "good"
    assert len(await store_of(trio[2]).evidence()) == 1
    assert await store_of(trio[2]).pins(one.id) == []
    told = [e["chunk"] for e in await events(trio[2], "chunk.repaired")]
    assert told == [one.id.hex()]


async def test_a_copy_that_is_missing_or_in_a_trash_is_told_as_missing_and_stays_there(
    trio: list[Running], ask: Any
) -> None:
    one = chunk("b")
    await stored(one, trio[:2])
    assert await store_of(trio[1]).trash(one.id, "nothing names it")
    assert await states(ask, one.id) == {"node-1": "good", "node-2": "missing", "node-3": "missing"}
    assert len(await store_of(trio[1]).trashed()) == 1


async def test_a_chunk_without_a_good_copy_puts_data_in_danger_until_one_is_found(
    trio: list[Running], ask: Any
) -> None:
    one = chunk("c")
    await stored(one, trio[2:])
    store_of(trio[2]).spoil(one.id, 100)
    found = await examined(ask, "node-3", scrub=True)
    assert "SCRUB" in found

    async def status() -> admin_pb2.GetStatusResponse:
        return await ask.GetStatus(admin_pb2.GetStatusRequest(), timeout=5)

    async with asyncio.timeout(10):
        while (await status()).safe:
            await asyncio.sleep(0.05)
    problems = {p.code: p for p in (await status()).problems}
    assert "1 chunk that node-3 had" in problems["CHUNK_LOST"].what
    assert "CHUNK_LOST" in await examined(ask, "node-3")
    await stored(one, trio[:1])
    assert "DAMAGE_MENDED" in await examined(ask, "node-3")
    async with asyncio.timeout(10):
        while not (await status()).safe:
            await asyncio.sleep(0.05)


async def test_a_volume_that_fails_is_told_everywhere_with_what_to_do(
    trio: list[Running], ask: Any
) -> None:
    store_of(trio[1]).set_state(VolumeState.FAILED, "fsync: Input/output error")
    try:
        found = await examined(ask, "node-2")
        assert found["VOLUME_FAILED"].what == "fsync: Input/output error"
        assert "restart nodeagentd" in found["VOLUME_FAILED"].next
        answer = await ask.ListVolumes(admin_pb2.ListVolumesRequest(node="node-2"), timeout=5)
        (volume,) = answer.volumes
        assert volume.why == "fsync: Input/output error"

        async def codes() -> list[str]:
            answer = await ask.GetStatus(admin_pb2.GetStatusRequest(), timeout=5)
            return [problem.code for problem in answer.problems]

        async with asyncio.timeout(10):
            while "VOLUME_FAILED" not in await codes():
                await asyncio.sleep(0.05)
    finally:
        store_of(trio[1]).set_state(VolumeState.HEALTHY, "")


async def test_what_nothing_names_waits_for_a_confirmation_when_it_is_much(
    trio: list[Running], ask: Any
) -> None:
    node = trio[0]
    with node.place.config.open("a") as config:
        config.write("[upkeep]\ngrace_s = 0\n")
    await node.settings.reload()
    live = node.place.state / "live-chunks"
    live.write_text("end 0\n")
    try:
        await stored(chunk("d"), trio[:1])
        found = await examined(ask, "node-1")
        assert "mcctl doctor node-1 --gc" in found["TRASH_HELD_BACK"].next
        assert store_of(node).health().chunks > 0
        assert "TRASHED" in await examined(ask, "node-1", collect=True)
        assert store_of(node).health().chunks == 0
    finally:
        live.unlink()


async def test_an_auditor_may_verify_and_not_examine(trio: list[Running], people: People) -> None:
    async with channel(trio[0], people.operator("eve", AUDITOR)) as opened:
        eve = admin(opened)
        error = await refused(eve.ExamineNode(admin_pb2.ExamineNodeRequest(), timeout=5))
        assert error.reason == "NOT_ALLOWED"
        assert await states(eve, bytes(32))
        short = await refused(eve.VerifyChunk(admin_pb2.VerifyChunkRequest(chunk_id=b"1")))
        assert short.reason == "BAD_REQUEST"
