"""A real daemon as a process of its own, with its log read line by line."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.nodes import WITHIN_S, Place

Event = Mapping[str, Any]


@dataclass
class DaemonProcess:
    place: Place
    process: asyncio.subprocess.Process
    events: list[Event] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def read(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode():
            async with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.other.append(line.rstrip("\n"))
                self._news.notify_all()

    async def event(self, name: str, within_s: float = WITHIN_S, **facts: Any) -> Event:
        """The first event of that name and with those facts, as soon as it is there."""

        def found() -> Event | None:
            for event in self.events:
                if event.get("event") == name and facts.items() <= event.items():
                    return event
            return None

        return await self._until(found, within_s, f"no event {name} {facts}")

    async def said(self, part: str, within_s: float = WITHIN_S) -> str:
        return await self._until(
            lambda: next((line for line in self.other if part in line), None),
            within_s,
            f"nothing said {part!r}",
        )

    async def _until(self, found: Callable[[], Any], within_s: float, failed: str) -> Any:
        try:
            async with asyncio.timeout(within_s), self._news:
                while not (fact := found()):
                    await self._news.wait()
                return fact
        except TimeoutError as error:
            names = [event.get("event") for event in self.events]
            raise AssertionError(f"{failed}; there were {names} and {self.other}") from error

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within_s: float = WITHIN_S) -> int:
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@asynccontextmanager
async def daemon(
    place: Place,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
) -> AsyncIterator[DaemonProcess]:
    """Started, and ready unless told not to wait; killed at the end if it still runs."""
    command = ["-m", "nodeagent", "run", "--config", str(place.config), *arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    running = DaemonProcess(place, process)
    assert process.stdout
    assert process.stderr
    async with asyncio.TaskGroup() as group:
        for stream in (process.stdout, process.stderr):
            group.create_task(running.read(stream))
        try:
            if wait:
                await running.event("ready")
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
