"""Workers of a node: a few processes, kept warm, replaced when they die, hang or are given up.

async with Pool(limits) as pool:
    async for event in pool.run(task, open_source): ...
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from multicloud.errors import McError
from nodeagent.config.model import Process
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.process.events import Event
from nodeagent.process.worker_link import WorkerLink


class AsyncSource(Protocol):
    """An object that a part is of."""

    async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Exactly so many, fewer only where it ends; raises McError. Never other bytes than those
        of the version that was listed.
        """
        ...


OpenSource = Callable[[Part], AsyncSource]


@dataclass(frozen=True, slots=True)
class Limits:
    workers: int = 2
    memory_bytes_max: int = 2 << 30  # Of each, beyond what it has when it is ready.
    step_timeout_s: float = 300.0  # Without a sign of life while it is not waiting for us.
    tasks_max: int = 256  # Then a worker is replaced: memory that was fragmented comes back.


def limits_of(chosen: Process) -> Limits:
    """As the configuration says; without a number of workers, one for each core that is ours."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Limits(chosen.workers or cores or 1, chosen.memory_bytes_max, chosen.step_timeout_s)


@dataclass(frozen=True, slots=True)
class Task:
    pipeline: Pipeline
    parts: Sequence[Part]
    chunk_bytes: int
    record_bytes_max: int
    python_path: Sequence[str] = field(default=())


class Pool:
    """Use it in one event loop. Who waits for a worker waits in line."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free: list[WorkerLink] = []
        self._slots = asyncio.Semaphore(limits.workers)
        self._all: set[WorkerLink] = set()
        self.replaced = 0  # Workers that did not end by our will.

    @property
    def pids(self) -> list[int]:
        """Of the workers that there are now."""
        return [link.pid for link in self._all]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in list(self._all):
            await self._drop(link)

    async def run(self, task: Task, open_source: OpenSource) -> AsyncGenerator[Event, None]:
        """What comes out of a task, in order; the last is Done. Leaving early ends the worker.

        Raises what the engine raises, WORKER_LOST when the worker died or stood still, and what
        a source raises.
        """
        async with AsyncExitStack() as stack:
            link = await stack.enter_async_context(self._taken())
            async for event in link.run(task, open_source):
                yield event

    async def check(self, text: str, name: str, allowed: Sequence[str]) -> Pipeline:
        """As `pipeline_file.checked`, without Polars in this process."""
        async with self._taken() as link:
            return await link.check(text, name, allowed)

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[WorkerLink]:
        async with self._slots:
            link = self._free.pop() if self._free else None
            if link is None:
                link = await WorkerLink.start(
                    self._limits.memory_bytes_max, self._limits.step_timeout_s
                )
                self._all.add(link)
            try:
                yield link
            except McError as error:
                if error.reason == "WORKER_LOST":
                    self.replaced += 1
                raise
            finally:
                if link.idle and link.tasks < self._limits.tasks_max:
                    self._free.append(link)
                else:
                    await self._drop(link)

    async def _drop(self, link: WorkerLink) -> None:
        self._all.discard(link)
        if link in self._free:
            self._free.remove(link)
        await link.kill()
