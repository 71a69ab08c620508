"""The daemon as systemd sees it: ready, reload, watchdog, drain, stop; one daemon a folder."""

import asyncio
import json
import os
import signal
import socket
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from multicloud.channel import open_channel
from multicloud.status import decode
from multicloud.v1 import admin_pb2, insight_pb2, insight_pb2_grpc
from nodeagent.config.load import load
from nodeagent.rpc.access import ADMIN
from tests.support.nodes import Place, admin, make_place
from tests.support.people import People
from tests.support.process import daemon

WATCH = health_pb2.HealthCheckRequest()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def place(people: People, tmp_path: Path) -> Place:
    return make_place(people, tmp_path, 1)


@asynccontextmanager
async def called(place: Place, people: People) -> AsyncIterator[grpc.aio.Channel]:
    config = load(place.config, {}, {}).config
    dns_name = f"{place.id}.node.test"
    opened = open_channel(config.listen.api, dns_name, people.operator("ada", ADMIN))
    try:
        yield opened
    finally:
        await opened.close()


async def page(place: Place, path: str) -> tuple[int, str]:
    address = tomllib.loads(place.config.read_text())["listen"]["http"]

    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def test_it_is_ready_serves_and_ends_with_zero_on_sigterm(
    place: Place, people: People
) -> None:
    async with daemon(place) as one:
        async with called(place, people) as opened:
            answer = await admin(opened).ListNodes(admin_pb2.ListNodesRequest(), timeout=5)
            assert [n.facts.name for n in answer.nodes] == ["node-1"]
        assert (await page(place, "/livez"))[0] == 200
        assert (await page(place, "/readyz"))[0] == 200
        assert "rpc_server_call_duration" in (await page(place, "/metrics"))[1]
        one.send(signal.SIGTERM)
        assert await one.ended() == 0
        await one.event("stopped")
    assert not one.other


async def test_every_line_of_its_log_is_json_with_time_level_and_event(place: Place) -> None:
    async with daemon(place) as one:
        one.send(signal.SIGTERM)
        await one.ended()
    assert one.events
    assert all({"ts", "level", "event"} <= event.keys() for event in one.events)
    assert not one.other


async def test_an_open_stream_may_finish_within_the_drain(place: Place, people: People) -> None:
    """A stream that reads slowly keeps the daemon; when it is done the daemon goes."""
    async with daemon(place) as one:
        async with called(place, people) as opened, called(place, people) as other:
            for _ in range(300):  # A log that is longer than what flow control lets through.
                await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(), timeout=5)
                if one.place.state.joinpath("audit").exists() and _audit_bytes(place) > 100 << 10:
                    break
            stream = admin(opened).ReadAudit(admin_pb2.ReadAuditRequest())
            first = await stream.read()
            one.send(signal.SIGTERM)
            await one.event("draining")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await admin(other).ListNodes(admin_pb2.ListNodesRequest(), timeout=5)
            assert decode(caught.value).reason in {"DRAINING", "UNREACHABLE"}
            lines = list(first.lines)
            while (answer := await stream.read()) is not grpc.aio.EOF:
                lines += answer.lines
            assert len(lines) > 100
            assert await one.ended() == 0


def _audit_bytes(place: Place) -> int:
    return sum(file.stat().st_size for file in (place.state / "audit").glob("*.jsonl"))


async def test_whoever_follows_events_does_not_hold_up_the_drain(
    place: Place, people: People
) -> None:
    async with daemon(place) as one, called(place, people) as opened:
        insight = insight_pb2_grpc.InsightServiceStub(opened)
        following = insight.WatchEvents(insight_pb2.WatchEventsRequest(follow=True))
        await following.initial_metadata()
        one.send(signal.SIGTERM)
        assert await one.ended(10) == 0  # The drain itself may take 30 s.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await following.read()
        assert decode(caught.value).reason in {"DRAINING", "UNREACHABLE"}


async def test_a_second_sigterm_stops_at_once_and_loses_nothing(
    place: Place, people: People
) -> None:
    async with daemon(place) as one:
        async with called(place, people) as opened:
            await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(), timeout=5)
            stuck = health_pb2_grpc.HealthStub(opened).Watch(WATCH)
            await stuck.read()
            held = admin(opened).ReadAudit(admin_pb2.ReadAuditRequest())
            await held.read()
            one.send(signal.SIGTERM)
            await one.event("draining")
            started_s = time.monotonic()
            one.send(signal.SIGTERM)
            assert await one.ended(5) == 0
            assert time.monotonic() - started_s < 5
    async with daemon(place) as again:
        assert (await again.event("ready"))["generation"] == 2
    records = [
        json.loads(line)
        for file in sorted((place.state / "audit").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert [r for r in records if r["rpc"].endswith("/ReloadConfig")]


async def test_a_broken_file_on_sighup_is_said_and_changes_nothing(
    place: Place, people: People
) -> None:
    good = place.config.read_text()
    async with daemon(place) as one:
        place.config.write_text(good + "\n[limits]\nstream_stall_s = 0\n")
        one.send(signal.SIGHUP)
        refused = await one.event("config_refused")
        assert "limits.stream_stall_s" in refused["faults"][0]
        assert f"{place.config}:" in refused["faults"][0]
        assert (await page(place, "/readyz"))[0] == 200
        place.config.write_text(good + "\n[limits]\nstream_stall_s = 20\n")
        one.send(signal.SIGHUP)
        reloaded = await one.event("config_reloaded")
        assert reloaded["applied"] == ["limits.stream_stall_s"]


async def test_a_second_daemon_on_the_folder_is_refused_and_the_first_goes_on(
    place: Place,
) -> None:
    async with daemon(place) as one:
        async with daemon(place, wait=False) as second:
            assert await second.ended() == 2
            line = await second.said("FOLDER_IN_USE")
            assert str(one.pid) in line
            assert str(place.state) in line
        assert (await page(place, "/livez"))[0] == 200


async def test_a_port_that_is_taken_is_named_with_its_option(place: Place) -> None:
    address = load(place.config, {}, {}).config.listen.api
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        async with daemon(place, wait=False) as one:
            assert await one.ended() == 2
            line = await one.said("ADDRESS_IN_USE")
    assert address in line
    assert "listen.api" in line


async def test_a_key_that_others_can_read_is_refused(place: Place) -> None:
    key = place.folder / "identity" / "node.key"
    key.chmod(0o644)
    async with daemon(place, wait=False) as one:
        assert await one.ended() == 2
        line = await one.said("SECRET_EXPOSED")
    assert str(key) in "\n".join([line, *one.other])
    assert "chmod 600" in "\n".join(one.other)


async def test_systemd_is_told_ready_reloading_watchdog_and_stopping(
    place: Place, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.setblocking(False)
        said: list[str] = []

        async def until(part: str) -> None:
            async with asyncio.timeout(10):
                while not any(part in line for line in said):
                    said.append((await loop.sock_recv(listener, 4096)).decode())

        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
        async with daemon(place, env=env) as one:
            await until("READY=1")
            await until("WATCHDOG=1")
            one.send(signal.SIGHUP)
            await until("RELOADING=1")
            await until("MONOTONIC_USEC=")
            one.send(signal.SIGTERM)
            await until("STOPPING=1")
            await until("EXTEND_TIMEOUT_USEC=")
            assert await one.ended() == 0


async def test_the_watchdog_is_not_fed_while_a_loop_stands_still(
    place: Place, tmp_path: Path
) -> None:
    """A stopped process answers nothing; after it goes on, it is fed again."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.setblocking(False)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
        async with daemon(place, env=env) as one:
            async with asyncio.timeout(10):
                while b"WATCHDOG=1" not in await loop.sock_recv(listener, 4096):
                    pass
            one.send(signal.SIGSTOP)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    while True:
                        await loop.sock_recv(listener, 4096)
            one.send(signal.SIGCONT)
            async with asyncio.timeout(10):
                while b"WATCHDOG=1" not in await loop.sock_recv(listener, 4096):
                    pass


async def test_kill_minus_nine_loses_no_record_and_the_next_start_is_another_generation(
    place: Place, people: People
) -> None:
    async with daemon(place) as one:
        async with called(place, people) as opened:
            for _ in range(3):
                await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(), timeout=5)
        os.kill(one.pid, signal.SIGKILL)
        await one.ended()
    async with daemon(place) as again:
        assert (await again.event("ready"))["generation"] == 2
        async with called(place, people) as opened:
            call = admin(opened).ReadAudit(admin_pb2.ReadAuditRequest(), timeout=5)
            lines = [line async for answer in call for line in answer.lines]
    assert sum("/ReloadConfig" in line for line in lines) == 3
