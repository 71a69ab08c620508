"""The configuration in force, as operators ask for it and as the daemon reloads it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from nodeagent.config.explain import explain
from nodeagent.config.live import LiveConfig
from nodeagent.ops.notify import Notifier

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Settings:
    live: LiveConfig
    notifier: Notifier
    on_change: Callable[[], None]
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def explained(self) -> list[admin_pb2.ConfigValue]:
        return [
            admin_pb2.ConfigValue(
                key=e.key, value=e.value, origin=e.origin, needs_restart=e.needs_restart
            )
            for e in explain(self.live.loaded)
        ]

    async def reload(self) -> tuple[list[str], list[str]]:
        """What was applied, and what waits for a restart. A bad file changes nothing."""
        async with self._reloading:
            self.notifier.reloading(time.monotonic_ns() // 1000)
            try:
                change = await asyncio.to_thread(self.live.reload)
            except McError as error:
                faults = [str(fault) for fault in error.faults]
                _log.error("config_refused", why=error.message, faults=faults, kept="the old one")
                raise
            finally:
                self.notifier.ready()
            self.on_change()
            applied, waiting = list(change.applied), list(change.needs_restart)
            _log.info("config_reloaded", applied=applied, needs_restart=waiting)
            return applied, waiting
