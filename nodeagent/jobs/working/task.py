"""One task from its inputs to the fact that it is done, and on to the fact that it is safe."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import SkippedObject
from nodeagent.jobs.facts import path_text, result_fact, safe_fact
from nodeagent.jobs.working.ahead import AHEAD_BYTES, Reading
from nodeagent.jobs.working.chunks import Draft
from nodeagent.jobs.working.earlier import Earlier, Taken
from nodeagent.jobs.working.made import (
    Kept,
    Made,
    edges_after,
    edges_to_ack,
    filled,
    plain_hash,
    safe,
    told,
)
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
    earlier: Earlier | None = None  # The version before, where there is one.


@dataclass(slots=True)
class TaskRun:
    """One attempt. `stage` says in plain words where it is."""

    means: JobMeans
    task: task_pb2.Task
    stage: str = "waits for room"
    stages: Stages = field(default_factory=Stages)
    trace_id: str = ""
    _bad: dict[int, str] = field(default_factory=dict)  # Inputs that are skipped, and why.
    _made: list[Made] = field(default_factory=list)
    _lost: list[Sending] = field(default_factory=list)  # Without an ack.
    _aside: list[int] = field(default_factory=list)
    _taken: Taken = field(default_factory=Taken)
    _reused_bytes: int = 0

    async def run(self) -> None:
        """Returns when the result is a fact. McError when the task could not be done here."""
        await self._take_over()
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
                    means.traces.failed(span.trace_id, nodes_of([*self._sendings(), *self._lost]))
                    raise
                finally:
                    self.stages.at("")
                    tell_stages(means.watcher, span, self.stages, self._sendings())
                result.trace_id, result.traceparent = span.trace_id, span.traceparent
                result.seconds = self.stages.seconds
                result.stages.extend(self.stages.told())
                self.stage = "tells the keepers"
                with means.watcher.span("chunk.fact"):
                    await means.ledger.append([result_fact(result)])
        means.room.unsafe += 1
        means.tails.create_task(self._tail(result, span.traceparent))

    async def _take_over(self) -> None:
        """What is unchanged is out of the task from here on: only the rest is read."""
        earlier = self.means.earlier
        if earlier is None:
            return
        await earlier.ready()
        inputs = self.task.inputs
        self._taken = await earlier.take(self.task.id, inputs)
        if self._taken.inputs:
            rest = [one for n, one in enumerate(inputs) if n not in self._taken.inputs]
            task = task_pb2.Task(id=self.task.id, page=self.task.page, attempt=self.task.attempt)
            task.inputs.extend(rest)
            self.task = task

    def _may_be_there(self) -> bool:
        """All bytes of a chunk are needed to find out."""
        earlier = self.means.earlier
        size_bytes = sum(one.range.size_bytes for one in self.task.inputs)
        return earlier is not None and earlier.may_have(size_bytes)

    def _held_bytes(self) -> int:
        if self.means.pipeline.passes_through and not self._may_be_there():
            return AHEAD_BYTES
        bytes_in = sum(asked.range.size_bytes for asked in self.task.inputs)
        return max(HELD_BYTES_MIN, min(self.means.target_bytes, 2 * bytes_in))

    async def _result(self, held_bytes: int) -> task_pb2.TaskResult:
        """Again without whatever turns out to be none that can be taken in."""
        while True:
            known_bad = len(self._bad)
            self._made, self._aside, self._reused_bytes = [], [], 0
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
                    most = sum(asked.range.size_bytes for asked in self.task.inputs)
                    if self._may_be_there():
                        await self._sent_if_new(await filled(chunk.plain()))
                    elif await draft.peek():
                        await self._sent(draft, most)
                finally:
                    await draft.close()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        size_bytes = sum(file.size_bytes for file in chunk.files)
        if not size_bytes:
            self._made = []
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
        place = len(self._made)
        self.stage = "sends"
        await self._sent_if_new(full, to_look=not aside)
        self.stages.at(PROCESS)
        if aside:
            self._aside.append(place)
        else:
            recording.placed(place)
        self.stage = "processes"

    # --- chunks

    async def _sent_if_new(self, full: Filled, *, to_look: bool = True) -> None:
        """Nothing is sealed whose very bytes the version before has."""
        means = self.means
        if to_look and means.earlier is not None and means.earlier.may_have(full.size_bytes):
            known = await asyncio.to_thread(plain_hash, full)
            found = await means.earlier.same_as(self.task.id, known, full.size_bytes)
            if found is not None:
                self._made.append(Kept(found, self.task.id, means.earlier.holding))
                self._reused_bytes += full.size_bytes
                return
        if full.size_bytes:
            draft = Draft(means.key, full.plain, self.stages, plain_stage=SEAL)
            await self._sent(draft, full.size_bytes)

    async def _sent(self, draft: Draft, plain_bytes_max: int) -> None:
        """Returns when it is acked; it goes on to be safe. A task that is given up ends both."""
        means, place = self.means, len(self._made)
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
        self._made.append(sending)

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
            chunks=[told(one) for one in self._made],
            files=files,
            objects_ingested=len(begins - self._bad.keys()),
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            quarantine=self._aside,
            edges=edges_to_ack(self._made, means.sender),
            bytes_reused=self._reused_bytes,
        )
        self._add_taken(result)
        for place, why in sorted(self._bad.items()):
            left_out = result.skipped if place in begins else result.cut_short
            left_out.add(path=task.inputs[place].path, reason=why)
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

    def _add_taken(self, result: task_pb2.TaskResult) -> None:
        """Behind what was made, so that places among that stay what they are."""
        taken, before, means = self._taken, len(self._made), self.means
        if means.earlier is not None:
            holding = means.earlier.holding
            self._made += [Kept(chunk, self.task.id, holding) for chunk in taken.chunks]
        result.chunks.extend(taken.chunks)
        for file in taken.files:
            result.files.add().CopyFrom(file)
            result.files[-1].chunk += before
        result.objects_ingested += taken.objects
        result.objects_taken, result.bytes_taken = taken.objects, taken.bytes

    def _sendings(self) -> list[Sending]:
        return [one for one in self._made if isinstance(one, Sending)]

    # --- after it is acked

    async def _tail(self, result: task_pb2.TaskResult, traceparent: str) -> None:
        """Until every chunk is safe. If it does not come to that, the steward asks a holder."""
        means = self.means
        outcome = "short"
        try:
            if all([await safe(one) for one in self._made]):
                outcome = "safe"
                nodes = nodes_of(self._sendings())
                means.traces.ended(result.trace_id, result.seconds, nodes)
                edges = edges_after(self._made, means.sender)
                fact = safe_fact(result_fact(result).id, map(told, self._made), edges)
                with means.watcher.span("chunk.fact", parent=traceparent):
                    await means.ledger.append([fact])
        except McError as error:
            outcome = error.reason.lower()
        finally:
            if outcome != "safe":
                means.traces.failed(result.trace_id, nodes_of(self._sendings()))
            means.room.unsafe -= 1
            means.watcher.count("mc.work.results", outcome=outcome)
