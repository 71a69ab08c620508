"""Real nodes in the test's own loop: real files, real mTLS, real gRPC, free ports."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from identity.bundle import NodeBundle, unpack
from identity.names import Identity
from identity.store import NodeIdentity
from multicloud import __version__
from multicloud.channel import Credentials, open_channel
from multicloud.errors import McError
from multicloud.status import decode
from multicloud.v1 import admin_pb2_grpc, peer_pb2_grpc
from nodeagent.config.live import LiveConfig
from nodeagent.config.load import load
from nodeagent.jobs.plane_making import JobParts
from nodeagent.node import Node
from nodeagent.ops.folder import state_folder
from nodeagent.ops.notify import Notifier
from nodeagent.rpc.observer import CallObserver
from nodeagent.rpc.watch_thread import WatchThread
from nodeagent.settings import Settings
from nodeagent.store.memory import MemoryStore
from nodeagent.store.observer import TelemetryObserver
from nodeagent.store.open import open_volumes
from nodeagent.store.volumes import Volumes
from nodeagent.telemetry import Telemetry
from tests.support.people import CLUSTER, People

WITHIN_S = 10.0


@dataclass(frozen=True)
class Place:
    """Where a node's files are, and what stands in its configuration."""

    id: str
    name: str
    folder: Path
    config: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"


def make_place(
    people: People,
    folder: Path,
    number: int,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> Place:
    """A node's folder as an installation makes it."""
    node_id, name = f"{number:016x}", f"node-{number}"
    shown = people.node(node_id)
    home = folder / name
    bundle = NodeBundle(
        cluster=CLUSTER,
        id=node_id,
        name=name,
        cloud="aws",
        region="us-east-1",
        zone="a",
        address="127.0.0.1:1",
        watch_address="",
        join=(),
        founder=False,
        certificate_pem=shown.certificate_pem,
        key_pem=shown.key_pem,
        trust=people.authority.trust,
        cluster_key=people.authority.cluster_key,
    )
    unpack(bundle, home / "identity")
    config = home / "nodeagent.toml"
    api, watch, http = (f"127.0.0.1:{port}" for port in free_ports(3))
    tables: dict[str, Mapping[str, Any]] = {
        "node": {
            "id": node_id,
            "name": name,
            "cluster": CLUSTER,
            "cloud": "aws",
            "region": "us-east-1",
            "zone": "a",
            "state_dir": str(home / "state"),
            "founder": number == 1,
        },
        "identity": {"dir": str(home / "identity")},
        "listen": {"api": api, "watch": watch, "http": http},
        "join": {"greet_every_s": 0.2, "greet_timeout_s": 1.0},
        "council": {"found_after_s": 0.1, "settle_s": 0.3},
        **(sections or {}),
    }
    config.write_text("".join(_table(title, table) for title, table in tables.items()))
    return Place(node_id, name, home, config)


def _table(title: str, values: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    return f"[{title}]\n" + "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: below those that the system gives to callers and those of
    dev clusters, and others for each process of the suite.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10000 + 2000 * (process % 4) + hash(str(Path.cwd())) % 1000
    sockets = []
    try:
        for port in range(first, 20000):
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
                continue
            sockets.append(probe)
            if len(sockets) == count:
                break
        return [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()


@dataclass
class Running:
    place: Place
    node: Node
    live: LiveConfig
    settings: Settings

    @property
    def address(self) -> str:
        return self.live.current.listen.api

    @property
    def dns_name(self) -> str:
        return Identity(CLUSTER, "node", self.place.id).dns_name


@asynccontextmanager
async def running(
    place: Place,
    store: Volumes | None = None,
    *,
    on_disk: bool = False,
    job_parts: JobParts | None = None,
    **more: str,
) -> AsyncIterator[Running]:
    """The node of a place, serving until the block ends; its chunks are in memory unless said."""

    def read() -> Any:
        return load(place.config, {}, more)

    live = LiveConfig(read, read())
    config = live.current
    notifier = Notifier()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(state_folder(config.node.state_dir))
        telemetry = Telemetry.start(config.telemetry, config.node, __version__)
        stack.push_async_callback(telemetry.stop)
        settings = Settings(live, notifier, lambda: node.config_changed())
        if store is None and on_disk:
            heard = TelemetryObserver(telemetry)
            store = await open_volumes(config, folder.path, observer=heard)
        store = store or Volumes([MemoryStore(place.id, clock=time.time)])
        stack.push_async_callback(store.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        node = Node(
            live=live,
            settings=settings,
            folder=folder,
            identity=NodeIdentity.load(config.identity.dir, folder.path, env={}),
            observer=CallObserver(telemetry),
            watcher=telemetry,
            store=store,
            spawn=group.create_task,
            ready=lambda: True,
            healthy=lambda: True,
            job_parts=job_parts,
        )
        node.audit.start()
        watch = WatchThread(node.watch_server, node.watch_beat)
        await asyncio.to_thread(watch.start)
        stack.push_async_callback(asyncio.to_thread, watch.stop)
        server = node.api_server()
        await server.start()
        life = [group.create_task(work) for work in node.works()]
        try:
            yield Running(place, node, live, settings)
        finally:
            for task in life:
                task.cancel()
            await asyncio.wait(life)  # None of them finds a connection closed under its hands.
            await node.close()
            await server.stop(0.2)
            await node.audit.stop()


@asynccontextmanager
async def channel(node: Running, who: Credentials) -> AsyncIterator[grpc.aio.Channel]:
    opened = open_channel(node.address, node.dns_name, who)
    try:
        yield opened
    finally:
        await opened.close()


def admin(opened: grpc.aio.Channel) -> Any:
    return admin_pb2_grpc.AdminServiceStub(opened)


def peer(opened: grpc.aio.Channel) -> Any:
    return peer_pb2_grpc.PeerServiceStub(opened)


async def refused(call: Any) -> McError:
    """The typed error that a call ends with; it is a failure if it does not."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return decode(error)
    raise AssertionError(f"it was not refused, but answered {answer!r}"[:500])


async def until(fact: Any, within_s: float = WITHIN_S) -> Any:
    """Waits for a fact: whatever is true comes back."""
    async with asyncio.timeout(within_s):
        while True:
            found = fact()
            if found:
                return found
            await asyncio.sleep(0.02)


def lines_of_audit(place: Place) -> Sequence[str]:
    files = sorted((place.state / "audit").glob("audit-*.jsonl"))
    return [line for file in files for line in file.read_text().splitlines()]
