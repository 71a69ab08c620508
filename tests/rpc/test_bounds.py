"""Whatever comes from outside is bounded, and what is beyond the bound is refused by name."""

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import admin_pb2, common_pb2, peer_pb2
from nodeagent.rpc.access import ADMIN
from tests.support.nodes import Running, admin, channel, make_place, refused, running
from tests.support.people import People

LIST = admin_pb2.ListNodesRequest()
GREET = "/multicloud.v1.PeerService/Greet"


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _raw(opened: grpc.aio.Channel, path: str, data: bytes, **more: Any) -> McError:
    return await refused(opened.unary_unary(path)(data, timeout=10, **more))


async def test_a_large_message_of_empty_sub_messages_is_refused_before_it_unfolds(
    node: Running, people: People
) -> None:
    # Two bytes on the wire become an object of some fifty: 4 MiB would become a hundred.
    one = peer_pb2.Greeting(facts=common_pb2.NodeFacts(volumes=[common_pb2.VolumeFacts()]))
    bomb = one.SerializeToString() * (3 << 20 >> 3)
    async with channel(node, people.node("00000000000000aa")) as opened:
        await _raw(opened, GREET, b"\x0a\x00")  # Warm: what a connection costs is not counted.
        before = _rss_bytes()
        for _ in range(5):
            error = await _raw(opened, GREET, bomb)
            assert error.reason == "TOO_LARGE"
        assert _rss_bytes() - before < 64 << 20


async def test_a_compressed_bomb_is_refused(node: Running, people: People) -> None:
    zeros = bytes(64 << 20)
    async with channel(node, people.node("00000000000000aa")) as opened:
        sender = opened.unary_unary(GREET)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sender(zeros, timeout=20, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("data", [b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", os.urandom(1000)])
async def test_bytes_that_are_no_message_are_a_bad_request(
    data: bytes, node: Running, people: People
) -> None:
    async with channel(node, people.node("00000000000000aa")) as opened:
        assert (await _raw(opened, GREET, data)).reason == "BAD_REQUEST"


async def test_headers_beyond_the_bound_end_the_call_and_not_the_node(
    node: Running, people: People
) -> None:
    async with channel(node, people.operator("ada", ADMIN)) as opened:
        huge = (("x-huge", "a" * (64 << 10)),)
        with pytest.raises(grpc.aio.AioRpcError):
            await admin(opened).ListNodes(LIST, timeout=5, metadata=huge)
        await admin(opened).ListNodes(LIST, timeout=5)


async def test_who_calls_too_often_is_told_when_to_come_back_and_others_are_served(
    people: People, tmp_path: Path
) -> None:
    limits = {"limits": {"control_calls_per_s": 1, "control_calls_burst": 5}}
    async with running(make_place(people, tmp_path, 1, limits)) as node:
        async with (
            channel(node, people.operator("eager", ADMIN)) as eager,
            channel(node, people.operator("calm", ADMIN)) as calm,
        ):
            for _ in range(5):
                await admin(eager).ListNodes(LIST, timeout=5)
            error = await refused(admin(eager).ListNodes(LIST, timeout=5))
            assert error.reason == "TOO_BUSY"
            assert 0 < (error.retry_after_s or 0) <= 1
            await admin(calm).ListNodes(LIST, timeout=5)


async def test_one_address_has_so_many_calls_open_and_no_more(
    people: People, tmp_path: Path
) -> None:
    limits = {"limits": {"calls_per_address_max": 8}}
    async with running(make_place(people, tmp_path, 1, limits)) as node:
        async with channel(node, people.operator("ada", ADMIN)) as opened:
            health = health_pb2_grpc.HealthStub(opened)
            open_ = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(8)]
            for stream in open_:
                await stream.read()
            assert (await refused(admin(opened).ListNodes(LIST, timeout=5))).reason == "TOO_BUSY"
            for stream in open_:
                stream.cancel()

            async def served() -> bool:
                try:
                    await admin(opened).ListNodes(LIST, timeout=5)
                except grpc.aio.AioRpcError:
                    return False
                return True

            async with asyncio.timeout(5):
                while not await served():
                    await asyncio.sleep(0.02)


async def test_a_reload_takes_the_new_limits_at_once(people: People, tmp_path: Path) -> None:
    place = make_place(people, tmp_path, 1)
    async with running(place) as node, channel(node, people.operator("ada", ADMIN)) as opened:
        place.config.write_text(
            place.config.read_text() + "\n[limits]\ncontrol_message_bytes_max = 4096\n"
        )
        reload = admin_pb2.ReloadConfigRequest()
        answer = await admin(opened).ReloadConfig(reload, timeout=5)
        assert list(answer.applied) == ["limits.control_message_bytes_max"]
        large = admin_pb2.GetConfigRequest(node="x" * 5000)
        assert (await refused(admin(opened).GetConfig(large, timeout=5))).reason == "TOO_LARGE"


async def test_a_bad_configuration_is_refused_with_its_faults_and_changes_nothing(
    people: People, tmp_path: Path
) -> None:
    place = make_place(people, tmp_path, 1)
    async with running(place) as node, channel(node, people.operator("ada", ADMIN)) as opened:
        before = node.live.current
        place.config.write_text(place.config.read_text() + "\n[limits]\ndeadlin_s_max = 5\n")
        reload = admin_pb2.ReloadConfigRequest()
        error = await refused(admin(opened).ReloadConfig(reload, timeout=5))
        assert error.reason == "CONFIG_INVALID"
        assert error.faults[0].field == "limits.deadlin_s_max"
        assert error.faults[0].nearest == "limits.deadline_s_max"
        assert node.live.current == before


async def test_what_needs_a_restart_is_listed_and_not_applied(
    people: People, tmp_path: Path
) -> None:
    place = make_place(people, tmp_path, 1)
    async with running(place) as node, channel(node, people.operator("ada", ADMIN)) as opened:
        text = place.config.read_text()
        place.config.write_text(text.replace('zone = "a"', 'zone = "b"'))
        reload = admin_pb2.ReloadConfigRequest()
        answer = await admin(opened).ReloadConfig(reload, timeout=5)
        assert list(answer.needs_restart) == ["node.zone"]
        assert node.live.current.node.zone == "a"


async def test_pages_hold_what_was_asked_for_and_a_foreign_token_is_refused(
    node: Running, people: People
) -> None:
    async with channel(node, people.operator("ada", ADMIN)) as opened:
        request = admin_pb2.ListNodesRequest(page_token="bm9uc2Vuc2U&")
        error = await refused(admin(opened).ListNodes(request, timeout=5))
        assert error.faults[0].field == "page_token"
        negative = admin_pb2.ListNodesRequest(page_size=-1)
        assert (await refused(admin(opened).ListNodes(negative, timeout=5))).reason == "BAD_REQUEST"
        names: list[str] = []
        token = ""
        while True:
            page = admin_pb2.ListNodesRequest(page_size=1, page_token=token)
            answer = await admin(opened).ListNodes(page, timeout=5)
            names += [n.facts.name for n in answer.nodes]
            token = answer.next_page_token
            if not token:
                break
        assert names == sorted(set(names))
        assert "node-1" in names


async def test_a_call_of_a_node_that_goes_down_is_told_to_go_elsewhere(
    people: People, tmp_path: Path
) -> None:
    async with running(make_place(people, tmp_path, 1)) as node:
        async with channel(node, people.operator("ada", ADMIN)) as opened:
            node.node.api_guard.draining = True
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await admin(opened).ListNodes(LIST, timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert decode(caught.value).reason == "DRAINING"
