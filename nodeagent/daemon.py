"""The daemon's life: what starts before what, what a signal does, and how it goes."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog

from identity.names import Identity
from identity.store import NodeIdentity
from multicloud import __version__
from multicloud.errors import McError
from nodeagent.clouds.making import node_clouds
from nodeagent.config.live import LiveConfig
from nodeagent.config.load import Loaded
from nodeagent.memory import keep_bounded
from nodeagent.node import Node
from nodeagent.ops.folder import StateFolder, state_folder
from nodeagent.ops.heartbeat import Heartbeat
from nodeagent.ops.http import Check, HealthPage
from nodeagent.ops.notify import Notifier
from nodeagent.ops.stderr import CoreLines
from nodeagent.rpc.observer import CallObserver
from nodeagent.rpc.watch_thread import WatchThread
from nodeagent.settings import Settings
from nodeagent.store.observer import TelemetryObserver
from nodeagent.store.open import open_volumes
from nodeagent.telemetry import Telemetry

_log = structlog.stdlib.get_logger(__name__)
LOOP_SILENT_S_MAX = 5.0
EXTEND_EVERY_S, EXTEND_BY_S = 5.0, 15.0
GOODBYE_S_MAX = 1.0
END_CALLS_S_MAX = 1.0


def run(read: Callable[[], Loaded]) -> int:
    """Runs until it is told to stop. The exit code."""
    live = LiveConfig(read, read())
    with state_folder(live.current.node.state_dir) as folder:
        return asyncio.run(Daemon(live, folder).main())


class Daemon:
    def __init__(self, live: LiveConfig, folder: StateFolder) -> None:
        config = live.current
        self.live, self.folder = live, folder
        self.notifier = Notifier.of(os.environ, os.getpid())
        self.settings = Settings(live, self.notifier, self._config_changed)
        self.telemetry = Telemetry.start(config.telemetry, config.node, __version__)
        self.beat = Heartbeat("main")
        self.watch: WatchThread | None = None
        self.node: Node | None = None
        self.ready = False
        self.stopping = asyncio.Event()
        self.at_once = asyncio.Event()

    async def main(self) -> int:
        config = self.live.current
        expected = Identity(config.node.cluster, "node", config.node.id)
        identity = NodeIdentity.load(config.identity.dir, self.folder.path, expected=expected)
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self.telemetry.stop)
                async with asyncio.TaskGroup() as group:
                    self._on_signals(group)
                    await self._live(identity, group, stack)
        except ExceptionGroup as failed:
            raise _first_of(failed) from failed
        _log.info("stopped", node=config.node.name)
        return 0

    async def _live(
        self, identity: NodeIdentity, group: asyncio.TaskGroup, stack: AsyncExitStack
    ) -> None:
        heard = TelemetryObserver(self.telemetry)
        clouds = node_clouds(self.live, self.telemetry)
        stack.push_async_callback(clouds.close)
        store = await open_volumes(
            self.live.current, self.folder.path, observer=heard, clouds=clouds
        )
        stack.push_async_callback(store.close)
        node = self.node = Node(
            live=self.live,
            settings=self.settings,
            folder=self.folder,
            identity=identity,
            observer=CallObserver(self.telemetry),
            watcher=self.telemetry,
            store=store,
            clouds=clouds,
            spawn=group.create_task,
            ready=lambda: self.ready,
            healthy=lambda: all(check.ok for check in self.live_checks()),
        )
        node.audit.start()
        stack.push_async_callback(node.audit.stop)
        stack.callback(CoreLines(node.core_line).close)
        watch = self.watch = WatchThread(node.watch_server, node.watch_beat)
        await asyncio.to_thread(watch.start)
        stack.push_async_callback(asyncio.to_thread, watch.stop)
        server = node.api_server()
        await server.start()
        http = HealthPage(
            self.live.current.listen.http, self.live_checks, self.ready_checks, self._metrics
        )
        if self.live.current.listen.http:
            http.start()
            stack.push_async_callback(asyncio.to_thread, http.stop)
        self._measure(node)
        background = [
            group.create_task(work)
            for work in (self.beat.run(), self._watchdog(watch), keep_bounded(), *node.works())
        ]
        self._up(identity)
        await self.stopping.wait()
        await self._drain(node, group)
        await server.stop(END_CALLS_S_MAX)
        for task in background:
            task.cancel()
        await asyncio.wait(background)  # None finds a connection closed under its hands.
        await node.close()

    def _up(self, identity: NodeIdentity) -> None:
        config = self.live.current
        gc.collect()
        gc.freeze()  # What the start has made stays: no pause to walk through it again.
        self.ready = True
        self.notifier.ready(f"{config.node.name} serves on {config.listen.api}")
        _log.info(
            "ready",
            node=config.node.name,
            id=config.node.id,
            cluster=config.node.cluster,
            api=config.listen.api,
            generation=self.folder.generation,
            version=__version__,
        )
        if identity.passed_over:
            _log.warning("identity_passed_over", why=identity.passed_over)

    # -- Signals

    def _on_signals(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: group.create_task(self._reload()))

    def _asked_to_stop(self) -> None:
        if self.stopping.is_set():
            _log.warning("stopping_at_once")
            self.at_once.set()
        self.stopping.set()

    async def _reload(self) -> None:
        with suppress(McError):  # It is logged with its faults, and the old one stays.
            await self.settings.reload()

    def _config_changed(self) -> None:
        self.telemetry.reload(self.live.current.telemetry)
        if self.node:
            self.node.config_changed()

    # -- The way down

    async def _drain(self, node: Node, group: asyncio.TaskGroup) -> None:
        """Open calls may finish; new ones go elsewhere. A second SIGTERM cuts it short."""
        drain_s = self.live.current.shutdown.drain_s
        self.ready = False
        self.notifier.stopping(f"draining for at most {drain_s:g} s")
        _log.info("draining", drain_s=drain_s)
        for guard in node.guards:
            guard.draining = True
        extending = group.create_task(self._extend())
        impatient = group.create_task(self.at_once.wait())
        drained = group.create_task(self._emptied(node, drain_s))
        await asyncio.wait({impatient, drained}, return_when=asyncio.FIRST_COMPLETED)
        for task in (extending, impatient, drained):
            task.cancel()
        node.api_guard.end_all()

    async def _emptied(self, node: Node, drain_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S_MAX):
                await node.say_goodbye()
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await node.api_guard.emptied()
                await node.s3.emptied()

    async def _extend(self) -> None:
        while True:
            self.notifier.extend_timeout(EXTEND_BY_S)
            await asyncio.sleep(EXTEND_EVERY_S)

    # -- Being looked at

    async def _watchdog(self, watch: WatchThread) -> None:
        """Fed by the main loop, and only while the watch's loop answers too."""
        every_s = self.notifier.watchdog_interval_s or LOOP_SILENT_S_MAX
        while True:
            self.telemetry.observe("mc.loop.lag", self.beat.lag_s, loop="main")
            self.telemetry.observe("mc.loop.lag", watch.heartbeat.lag_s, loop="watch")
            if watch.heartbeat.silent_s() < LOOP_SILENT_S_MAX:
                self.notifier.watchdog()
            else:
                _log.error("loop_stands_still", loop="watch", s=watch.heartbeat.silent_s())
            await asyncio.sleep(every_s)

    def live_checks(self) -> list[Check]:
        beats = [self.beat, *([self.watch.heartbeat] if self.watch else [])]
        return [
            Check(
                f"{beat.name}_loop",
                beat.silent_s() < LOOP_SILENT_S_MAX,
                f"it has not answered for {beat.silent_s():.1f} s",
                "systemd restarts the daemon; its log says what it did last",
            )
            for beat in beats
        ]

    def ready_checks(self) -> list[Check]:
        why = "it is going down" if self.stopping.is_set() else "it is starting"
        checks = [
            *self.live_checks(),
            Check("serving", self.ready, why, "wait, or ask another node"),
        ]
        if self.node:
            trouble = self.node.audit.trouble
            remedy = "free the disk, or mend the rights of the audit folder"
            checks.append(Check("audit", not trouble, trouble, remedy))
        return checks

    def _metrics(self) -> bytes:
        return self.telemetry.metrics_text()

    def _measure(self, node: Node) -> None:
        gauge = self.telemetry.gauge
        gauge("mc.peers", node.peers_by_state, "state")
        gauge("mc.audit.healthy", lambda: {(): float(node.audit.healthy)})
        gauge("mc.audit.dropped", lambda: {(): float(node.audit.dropped)})
        gauge("mc.upkeep.verified.age", node.upkeep.upkeep.verified_age_s)
        gauge("mc.upkeep.open", node.upkeep.upkeep.open_by_state, "state")
        end_s = node.certificate_end_unix_s
        gauge("mc.council.epoch", node.council.epoch)
        gauge("mc.wire.in_flight", lambda: {(): float(node.data.budget.used_bytes)})
        gauge("mc.certificate.remaining", lambda: {(): end_s() - time.time()})


def _first_of(failed: ExceptionGroup[Exception]) -> Exception:
    """What ended the daemon, without the group around it."""
    first: Exception = failed
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
