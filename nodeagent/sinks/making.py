"""The sinks of a real node: joined with its council, its view of others and its state folder."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from coordinator.types import Knowing, View
from nodeagent.body import Body
from nodeagent.clouds.credentials import Secret
from nodeagent.config import model
from nodeagent.config.live import LiveConfig
from nodeagent.council.making import NodeCouncil
from nodeagent.council.proposing import Watcher
from nodeagent.jobs.sources.web.addresses import Allowed
from nodeagent.jobs.sources.web.client import Limits, WebClient
from nodeagent.ops.folder import StateFolder
from nodeagent.sinks.collecting import Collecting
from nodeagent.sinks.contract import Sink
from nodeagent.sinks.jetstream import JetStream
from nodeagent.sinks.kafka import KafkaTopic
from nodeagent.sinks.outbox import Outbox
from nodeagent.sinks.sending import Sending
from nodeagent.sinks.service import SinkInsight
from nodeagent.sinks.standing import Standing
from nodeagent.sinks.webhook import Webhook

AWAY = frozenset({Knowing.DOWN, Knowing.DEAD, Knowing.LEFT, Knowing.REMOVED})
SILENT_S = 20.0
AGAIN_S = 30.0
_log = structlog.stdlib.get_logger(__name__)


async def lasting(
    name: str, work: Callable[[], Awaitable[None]], *, again_s: float = AGAIN_S
) -> None:
    """Whatever ends it, a missing library, a disk, a defect, ends nothing else: to tell others is
    worth no daemon that stops. It is tried again.
    """
    while True:
        try:
            return await work()
        except Exception as error:  # noqa: BLE001
            _log.exception("events_out_failed", sink=name, again_s=again_s, why=repr(error))
        await asyncio.sleep(again_s)


class Surroundings(Protocol):
    """What a node has made already when it comes to this."""

    @property
    def live(self) -> LiveConfig: ...
    @property
    def folder(self) -> StateFolder: ...
    @property
    def body(self) -> Body: ...
    @property
    def council(self) -> NodeCouncil: ...
    @property
    def telemetry(self) -> Watcher: ...
    def view(self) -> View: ...


class NodeSinks:
    def __init__(self, node: Surroundings) -> None:
        self._node, self._config = node, node.live.current
        self._own = self._config.node.id
        self.standing = Standing(node.council.part.council)
        self._outbox: Outbox | None = None
        self.service = SinkInsight(self.standing, self._waiting)

    async def run(self) -> None:
        """Until it is cancelled. Nothing, where no sink is configured."""
        if self._config.events.sinks:
            await lasting("outbox", self._run)

    async def _run(self) -> None:
        folder, waiting_max = self._node.folder.path, self._config.events.waiting_max
        outbox = self._outbox = await asyncio.to_thread(Outbox.open, folder, waiting_max)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._collecting(outbox).run())
                for config in self._config.events.sinks:
                    work = partial(self._to, config, outbox)
                    group.create_task(lasting(config.name, work))
        finally:
            self._outbox = None
            outbox.close()

    async def _to(self, config: model.Sink, outbox: Outbox) -> None:
        await self._sending(config, outbox).run()

    def _waiting(self, name: str, since_unix_ms: int) -> int | None:
        """Blocks. None: this node has no such sink."""
        outbox, names = self._outbox, {one.name for one in self._config.events.sinks}
        return outbox.count(name, since_unix_ms) if outbox and name in names else None

    def _collecting(self, outbox: Outbox) -> Collecting:
        config = self._config
        return Collecting(
            self.standing.council,
            self._node.body.events,
            self._node.view,
            outbox,
            {one.name: one.kinds for one in config.events.sinks},
            config.node.cluster,
            time.time,
        )

    def _sending(self, config: model.Sink, outbox: Outbox) -> Sending:
        sink = sink_of(config, self._config.node.name)
        return Sending(
            config.name,
            self._own,
            sink,
            outbox,
            self.standing,
            away(self._own, self._node.view),
            time.time,
            self._node.telemetry,
            Random(),
        )


def away(own: str, view: Callable[[], View]) -> Callable[[str], bool]:
    """Known to be; not merely unknown, as everybody is after a start."""

    def is_away(node: str) -> bool:
        member = view().members.get(node)
        return node != own and member is not None and member.knowing in AWAY

    return is_away


def sink_of(config: model.Sink, node: str) -> Sink:
    secret, ca_file = Secret(config.secret), Path(config.ca_file) if config.ca_file else None
    servers = tuple(config.servers)
    match config.kind:
        case "kafka":
            return KafkaTopic(servers, config.topic, secret, config.tls, ca_file)
        case "nats":
            return JetStream(servers, config.topic, secret, config.tls, ca_file)
    host = urlsplit(config.url).hostname or ""
    allowed = Allowed.of([host] if config.private else [], node)
    plain = config.url.startswith("http://")
    return Webhook(config.url, secret, WebClient(Limits(allowed, plain, ca_file, SILENT_S, 0)))
