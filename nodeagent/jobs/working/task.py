"""One task from its inputs to the fact that it is done, and on to the fact that it is safe."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import job_pb2, task_pb2
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.facts import path_text, result_fact, safe_fact
from nodeagent.jobs.working.ahead import AHEAD_BYTES, Reading
from nodeagent.jobs.working.chunks import Draft
from nodeagent.jobs.working.raw import RawChunk
from nodeagent.jobs.working.records import Filled, Input, Pipelines, Recording, Smalls, processed
from nodeagent.jobs.working.room import Room
from nodeagent.jobs.working.sending import Sender, Sending
from nodeagent.jobs.working.stages import PROCESS, SEAL, Stages, TimedReads
from nodeagent.jobs.working.tracing import Traces, Watcher, nodes_of, tell_stages
from nodeagent.process.events import Data
from nodeagent.wire.flow import first_of
from nodeagent.wire.usage import Use

RECORD_BYTES_MAX = 256 << 20  # What is longer is no record; no chunk of records is.
HELD_BYTES_MIN = 1 << 20


class Ledger(Protocol):
    """The keepers of a job, whoever they are now."""

    @property
    def waits(self) -> str:
        """Why a fact cannot be written; empty while nothing stands in the way."""
        ...

    async def append(self, facts: Sequence[task_pb2.Fact]) -> None:
        """Returns when a majority has them, however long that takes."""
        ...


@dataclass(slots=True)
class JobMeans:
    """What every task of a job uses on this node."""

    order: task_pb2.WorkOrder
    pipeline: Pipeline
    target_bytes: int
    key: DatasetKey
    reading: Reading
    sender: Sender
    ledger: Ledger
    room: Room
    pipelines: Pipelines
    python_path: Sequence[str]
    watcher: Watcher
    tails: asyncio.TaskGroup  # For chunks that go on to their last copies.
    traces: Traces
    links: Callable[[], Mapping[str, Use]]


@dataclass(slots=True)
class TaskRun:
    """One attempt. `stage` says in plain words where it is."""

    means: JobMeans
    task: task_pb2.Task
    stage: str = "waits for room"
    stages: Stages = field(default_factory=Stages)
    trace_id: str = ""
    _bad: dict[int, str] = field(default_factory=dict)  # Inputs that are skipped, and why.
    _sendings: list[Sending] = field(default_factory=list)
    _lost: list[Sending] = field(default_factory=list)  # Without an ack.
    _aside: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Returns when the result is a fact. McError when the task could not be done here."""
        means, task, order = self.means, self.task, self.means.order
        facts = {
            "job": order.job,
            "task": task.id,
            "attempt": task.attempt,
            "one_in": order.trace_one_in or None,
        }
        links = [order.traceparent] if order.traceparent else []
        async with means.room.place(self._held_bytes()) as held:
            # A trace of its own: that of a job with all its chunks could not be looked at.
            with means.watcher.span("chunk", parent="", links=links, **facts) as span:
                self.trace_id = span.trace_id
                try:
                    result = await self._result(held)
                except McError:
                    means.traces.failed(span.trace_id, nodes_of([*self._sendings, *self._lost]))
                    raise
                finally:
                    self.stages.at("")
                    tell_stages(means.watcher, span, self.stages, self._sendings)
                result.trace_id, result.traceparent = span.trace_id, span.traceparent
                result.seconds = self.stages.seconds
                result.stages.extend(self.stages.told())
                self.stage = "tells the keepers"
                with means.watcher.span("chunk.fact"):
                    await means.ledger.append([result_fact(result)])
        means.room.unsafe += 1
        means.tails.create_task(self._tail(result, span.traceparent))

    def _held_bytes(self) -> int:
        if self.means.pipeline.passes_through:
            return AHEAD_BYTES
        bytes_in = sum(asked.range.size_bytes for asked in self.task.inputs)
        return max(HELD_BYTES_MIN, min(self.means.target_bytes, 2 * bytes_in))

    async def _result(self, held_bytes: int) -> task_pb2.TaskResult:
        """Again without whatever turns out to be none that can be taken in."""
        while True:
            known_bad = len(self._bad)
            self._sendings, self._aside = [], []
            try:
                if self.means.pipeline.passes_through:
                    return await self._raw()
                return await self._records(held_bytes)
            except SkippedObject as skipped:
                self._put_down(skipped.path, skipped.why)
            except McError as error:
                if error.reason != "INPUT_BROKEN":
                    raise
                self._broken(error)
            if len(self._bad) == known_bad:
                said = f"task {self.task.id} was to go on without what it has left out already"
                raise McError("INTERNAL", said)

    def _put_down(self, path: bytes, why: str) -> None:
        for place, asked in enumerate(self.task.inputs):
            if asked.path == path:
                self._bad.setdefault(place, why)

    def _broken(self, error: McError) -> None:
        """The engine names the path first."""
        named = [
            asked.path
            for asked in self.task.inputs
            if error.message.startswith(f"{path_text(asked.path)}: ")
        ]
        if not named:
            raise error
        path = max(named, key=len)
        self._put_down(path, error.message.removeprefix(f"{path_text(path)}: "))

    # --- bytes that pass through

    async def _raw(self) -> task_pb2.TaskResult:
        means = self.means
        self.stage = "reads and sends"
        try:
            async with asyncio.TaskGroup() as reads:
                reading = TimedReads(means.reading, self.stages)
                chunk = RawChunk(reads, self.task.inputs, reading, bad=self._bad)
                draft = Draft(means.key, chunk.plain, self.stages)
                try:
                    if await draft.peek():
                        most = sum(asked.range.size_bytes for asked in self.task.inputs)
                        await self._sent(draft, most)
                finally:
                    await draft.close()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        size_bytes = sum(file.size_bytes for file in chunk.files)
        if not size_bytes:
            self._sendings = []
        return self._told(chunk.files, bytes_in=chunk.bytes_in, bytes_out=size_bytes)

    # --- records that are processed

    async def _records(self, held_bytes: int) -> task_pb2.TaskResult:
        means = self.means
        self.stage = "processes"
        inputs = [one for n, one in enumerate(self.task.inputs) if n not in self._bad]
        recording = Recording(inputs, means.pipeline, means.target_bytes, held_bytes)
        if inputs:
            await self._process(inputs, recording)
        return self._told(
            recording.files,
            bytes_in=sum(asked.range.size_bytes for asked in inputs),
            bytes_out=recording.bytes_out,
            recording=recording,
        )

    async def _process(self, inputs: Sequence[task_pb2.TaskInput], recording: Recording) -> None:
        means = self.means
        work = processed(
            inputs, means.pipeline, means.target_bytes, RECORD_BYTES_MAX, means.python_path
        )
        asked = {path_text(one.path): one for one in inputs}
        skipped: dict[bytes, str] = {}
        reading = TimedReads(means.reading, self.stages)
        smalls = Smalls(inputs, reading)
        events = means.pipelines.run(
            work, lambda part: Input(asked[part.path], reading, smalls, skipped)
        )
        self.stages.at(PROCESS)
        try:
            async with aclosing(events) as found:
                async for event in found:
                    if isinstance(event, Data):
                        self.stages.moved(PROCESS, len(event.data))
                    async for full, aside in recording.take(event):
                        await self._filled(full, recording, aside=aside)
        except McError as error:
            for path, why in skipped.items():
                raise SkippedObject(path, why) from error
            raise

    async def _filled(self, full: Filled, recording: Recording, *, aside: bool) -> None:
        place = len(self._sendings)
        self.stage = "sends"
        draft = Draft(self.means.key, full.plain, self.stages, plain_stage=SEAL)
        await self._sent(draft, full.size_bytes)
        self.stages.at(PROCESS)
        if aside:
            self._aside.append(place)
        else:
            recording.placed(place)
        self.stage = "processes"

    # --- chunks

    async def _sent(self, draft: Draft, plain_bytes_max: int) -> None:
        """Returns when it is acked; it goes on to be safe. A task that is given up ends both."""
        means, place = self.means, len(self._sendings)
        sending = Sending(draft)
        work = means.sender.send(sending, self.task.id, place, plain_bytes_max)
        task = means.tails.create_task(work)
        try:
            await sending.acked.wait()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if sending.at_ack is None:
            assert sending.error is not None, "it ended without a word"
            self._lost.append(sending)
            raise sending.error
        draft.let_go()
        self._sendings.append(sending)

    def _told(
        self,
        files: Sequence[task_pb2.ResultFile],
        *,
        bytes_in: int,
        bytes_out: int,
        recording: Recording | None = None,
    ) -> task_pb2.TaskResult:
        task, means = self.task, self.means
        begins = {n for n, one in enumerate(task.inputs) if not one.range.offset_bytes}
        result = task_pb2.TaskResult(
            task=task.id,
            worker=means.sender.own,
            attempt=task.attempt,
            chunks=[_chunk(sending) for sending in self._sendings],
            files=files,
            objects_ingested=len(begins - self._bad.keys()),
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            quarantine=self._aside,
            edges=self._edges(),
        )
        for place, why in sorted(self._bad.items()):
            told = result.skipped if place in begins else result.cut_short
            told.add(path=task.inputs[place].path, reason=why)
        for one in recording.counts if recording else ():
            result.steps.add(
                step=one.step,
                records_in=one.records_in,
                records_out=one.records_out,
                records_filtered=one.records_filtered,
                records_dropped=one.records_dropped,
                records_quarantined=one.records_quarantined,
                remakes=one.remakes,
            )
        return result

    def _edges(self) -> list[job_pb2.EdgeBytes]:
        found = (
            self.means.sender.borders(sending.at_ack, sending.draft.file_bytes)
            for sending in self._sendings
            if sending.at_ack
        )
        return _summed(found)

    # --- after it is acked

    async def _tail(self, result: task_pb2.TaskResult, traceparent: str) -> None:
        """Until every chunk is safe. If it does not come to that, the steward asks a holder."""
        means = self.means
        outcome = "short"
        try:
            for sending in self._sendings:
                await sending.ended.wait()
            done = [sending.done for sending in self._sendings]
            if all(one is not None and one.reached.safe for one in done):
                outcome = "safe"
                nodes = nodes_of(self._sendings)
                means.traces.ended(result.trace_id, result.seconds, nodes)
                chunks = [_chunk(sending) for sending in self._sendings]
                fact = safe_fact(result_fact(result).id, chunks, self._late_edges())
                with means.watcher.span("chunk.fact", parent=traceparent):
                    await means.ledger.append([fact])
        except McError as error:
            outcome = error.reason.lower()
        finally:
            if outcome != "safe":
                means.traces.failed(result.trace_id, nodes_of(self._sendings))
            means.room.unsafe -= 1
            means.watcher.count("mc.work.results", outcome=outcome)

    def _late_edges(self) -> list[job_pb2.EdgeBytes]:
        found = (
            self.means.sender.borders(
                sending.done, sending.draft.file_bytes, sending.at_ack.reached.copies
            )
            for sending in self._sendings
            if sending.done and sending.at_ack
        )
        return _summed(found)


def _chunk(sending: Sending) -> task_pb2.SealedChunk:
    return sending.draft.told([(copy.node, copy.volume) for copy in sending.copies()])


def _summed(found: Iterable[Mapping[tuple[str, str], int]]) -> list[job_pb2.EdgeBytes]:
    sums: dict[tuple[str, str], int] = {}
    for borders in found:
        for edge, size_bytes in borders.items():
            sums[edge] = sums.get(edge, 0) + size_bytes
    return [
        job_pb2.EdgeBytes(from_cloud=one, to_cloud=other, bytes=size_bytes)
        for (one, other), size_bytes in sorted(sums.items())
    ]
