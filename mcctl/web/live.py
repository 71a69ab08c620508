"""What open pages see: asked of the cluster once for all, and only while there are any."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mcctl.web.asking import Cluster
from mcctl.web.motion import Motion
from multicloud.errors import McError

PAGES_MAX = 16
ALIVE_EVERY_S = 15.0
STATUS_EVERY_S = 1.0
JOBS_EVERY_S = 2.0
LINKS_EVERY_S = 3.0


def told(error: McError) -> dict[str, Any]:
    return {"reason": error.reason, "message": error.message, "next": error.next}


@dataclass(slots=True)
class Live:
    """Of each topic the newest answer; a page that is slow misses what was in between."""

    cluster: Cluster
    _newest: dict[str, tuple[int, str]] = field(default_factory=dict)
    _version: int = 0
    _pages: int = 0
    _ended: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _motion: Motion = field(default_factory=Motion)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again("status", self._status, STATUS_EVERY_S))
            group.create_task(self._again("jobs", self.cluster.jobs, JOBS_EVERY_S))
            group.create_task(self._again("links", self.cluster.links, LINKS_EVERY_S))
            group.create_task(self._again("events", self.cluster.events, LINKS_EVERY_S))

    async def end(self) -> None:
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def _status(self) -> dict[str, Any]:
        found = await self.cluster.status()
        return {**found, "motion": self._motion.of(found, time.monotonic())}

    async def _again(self, topic: str, ask: Callable[[], Awaitable[Any]], every_s: float) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._pages or self._ended)
            if self._ended:
                return
            try:
                found = {"answer": await ask(), "trouble": None}
            except McError as error:
                found = {"answer": None, "trouble": told(error)}
            await self._tell(topic, {**found, "at_unix_s": round(time.time(), 3)})
            await asyncio.sleep(every_s)

    async def _tell(self, topic: str, found: dict[str, Any]) -> None:
        async with self._changed:
            self._version += 1
            self._newest[topic] = self._version, json.dumps(found, separators=(",", ":"))
            self._changed.notify_all()

    def full(self) -> bool:
        return self._pages >= PAGES_MAX

    async def follow(self) -> AsyncIterator[str]:
        """Server-sent events: every topic now, and again whenever there is a newer answer."""
        async with self._changed:
            self._pages += 1
            self._changed.notify_all()
        try:
            seen = 0
            yield "retry: 1000\n\n"
            while not self._ended:
                news = [(topic, *one) for topic, one in self._newest.items() if one[0] > seen]
                for topic, _, text in news:
                    yield f"event: {topic}\ndata: {text}\n\n"
                seen = max((version for _, version, _ in news), default=seen)
                if not await self._wait(seen):
                    yield ": alive\n\n"
        finally:
            self._pages -= 1

    async def _wait(self, seen: int) -> bool:
        try:
            async with asyncio.timeout(ALIVE_EVERY_S), self._changed:
                await self._changed.wait_for(lambda: self._version > seen or self._ended)
        except TimeoutError:
            return False
        return True
