"""Where the time of a task goes. At any moment it stands at one stage, which all others wait for;
so the stages add up to the whole, and the longest of them is what limits it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from multicloud.v1 import task_pb2
from nodeagent.jobs.contract import Found, SkippedObject

INGEST, PROCESS, SEAL, SEND = STAGES = ("ingest", "process", "seal", "send")


@dataclass(slots=True)
class Stage:
    seconds: float = 0.0
    bytes: int = 0
    began_unix_s: float = 0.0
    ended_unix_s: float = 0.0


@dataclass(slots=True)
class Stages:
    """Of one attempt of a task, from when it has its place until its last chunk is acked."""

    clock_s: Callable[[], float] = time.perf_counter
    clock_unix_s: Callable[[], float] = time.time
    of: dict[str, Stage] = field(default_factory=dict)
    now: str = ""
    _since_s: float = 0.0
    _reads: int = 0

    def at(self, stage: str) -> None:
        """From here on it stands there; "": nowhere."""
        if stage == self.now:
            return
        now_s, unix_s = self.clock_s(), self.clock_unix_s()
        if self.now:
            left = self.of[self.now]
            left.seconds += now_s - self._since_s
            left.ended_unix_s = unix_s
        if stage:
            self.of.setdefault(stage, Stage(began_unix_s=unix_s))
        self.now, self._since_s = stage, now_s

    def moved(self, stage: str, size_bytes: int) -> None:
        self.of.setdefault(stage, Stage(began_unix_s=self.clock_unix_s())).bytes += size_bytes

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Records cannot be processed while they are being read."""
        self._reads += 1
        if self.now == PROCESS:
            self.at(INGEST)
        try:
            yield
        finally:
            self._reads -= 1
            if not self._reads and self.now == INGEST and PROCESS in self.of:
                self.at(PROCESS)

    def so_far(self, name: str) -> float:
        """Seconds, with those of the turn that is under way."""
        turn_s = self.clock_s() - self._since_s if self.now == name else 0.0
        return self.of[name].seconds + turn_s

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.of.values())

    def told(self) -> list[task_pb2.StageTime]:
        return [
            task_pb2.StageTime(stage=name, seconds=one.seconds, bytes=one.bytes)
            for name in STAGES
            if (one := self.of.get(name)) is not None
        ]


def standing(all_of: Iterable[Stages]) -> list[task_pb2.StageTime]:
    """Of all tasks that run now, added up."""
    found = {name: task_pb2.StageTime(stage=name) for name in STAGES}
    for stages in all_of:
        for name, one in stages.of.items():
            found[name].seconds += stages.so_far(name)
            found[name].bytes += one.bytes
        if stages.now:
            found[stages.now].tasks += 1
            ingest = stages.of.get(INGEST)
            found[stages.now].held_bytes += ingest.bytes if ingest else 0
    return [one for one in found.values() if one.seconds]


class Reads(Protocol):
    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        """SkippedObject, or an McError: SOURCE_AWAY when nobody can read it now."""
        ...

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> list[Found]:
        """Small ranges, each with its bytes or why that object is skipped."""
        ...


@dataclass(frozen=True, slots=True)
class TimedReads:
    """Reads of one task: their time and their bytes are its ingest."""

    reads: Reads
    stages: Stages

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        with self.stages.reading():
            data = await self.reads.read(asked, offset_bytes, size_bytes)
        self.stages.moved(INGEST, len(data))
        return data

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> list[Found]:
        with self.stages.reading():
            found = await self.reads.read_several(wanted)
        size_bytes = sum(len(one) for one in found if not isinstance(one, SkippedObject))
        self.stages.moved(INGEST, size_bytes)
        return found
