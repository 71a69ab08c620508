"""A task whose records are processed: its inputs through a pipeline in a worker process, into
chunks that are held until they are acked; what is put aside goes into chunks of its own.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from blake3 import blake3

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.core.chunk.envelope import Bytes
from nodeagent.core.pipeline.counts import Counts
from nodeagent.core.pipeline.cut import Part, chunk_bytes_for
from nodeagent.core.pipeline.kinds import stem
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.jobs.contract import (
    SEVERAL_BYTES_MAX,
    SEVERAL_MAX,
    SMALL_BYTES,
    Found,
    SkippedObject,
)
from nodeagent.jobs.facts import path_bytes, path_text
from nodeagent.jobs.working.ahead import PIECE_BYTES, ranged
from nodeagent.jobs.working.stages import Reads
from nodeagent.process.events import Closed, Data, Done, Event, Opened, Quarantined
from nodeagent.process.pool import OpenSource
from nodeagent.process.pool import Task as Processed

PART_SHIFT = 40  # Pieces of one output file: by the part's number, then by their place in it.


class Pipelines(Protocol):
    """The node's worker processes. `Pool` is one."""

    def run(self, task: Processed, open_source: OpenSource) -> AsyncGenerator[Event, None]: ...


def part_of(asked: task_pb2.TaskInput, target_bytes: int) -> Part:
    """The range as the cut rule made it."""
    begin = asked.range.offset_bytes
    return Part(
        path_text(asked.path),
        begin,
        asked.range.size_bytes,
        begin // target_bytes,
        asked.size_bytes,
    )


@dataclass(slots=True)
class Filled:
    """A chunk's plain bytes, whole, in pieces."""

    pieces: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size_bytes += len(data)

    async def plain(self) -> AsyncGenerator[Bytes, None]:
        for piece in self.pieces:
            yield piece


class Smalls:
    """Small objects of a task: whoever reads one reads those behind it along."""

    def __init__(self, inputs: Sequence[task_pb2.TaskInput], reading: Reads) -> None:
        self._small = [one for one in inputs if one.size_bytes <= SMALL_BYTES]
        self._places = {one.path: place for place, one in enumerate(self._small)}
        self._reading = reading
        self._found: dict[bytes, Found] = {}

    async def read(self, path: bytes) -> bytes:
        """All of it."""
        if path not in self._found:
            wanted = self._from(self._places[path])
            found = await self._reading.read_several(wanted)
            self._found = {one.path: data for one, data in zip(wanted, found, strict=True)}
        data = self._found[path]
        if isinstance(data, SkippedObject):
            raise data
        return data

    def _from(self, place: int) -> list[task_pb2.TaskInput]:
        wanted: list[task_pb2.TaskInput] = []
        left_bytes = SEVERAL_BYTES_MAX
        for one in self._small[place : place + SEVERAL_MAX]:
            left_bytes -= one.size_bytes
            if left_bytes < 0:
                break
            wanted.append(ranged(one, 0, one.size_bytes))
        return wanted


@dataclass(slots=True)
class Input:
    """One object as a worker process reads it."""

    asked: task_pb2.TaskInput
    reading: Reads
    smalls: Smalls
    skipped: dict[bytes, str]

    async def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            if self.asked.size_bytes <= SMALL_BYTES:
                data = await self.smalls.read(self.asked.path)
                return data[offset_bytes : offset_bytes + size_bytes]
            return await self._large(offset_bytes, size_bytes)
        except SkippedObject as skipped:
            self.skipped[skipped.path] = skipped.why
            # The worker process ends its task in good order, and is used again.
            raise McError("INPUT_BROKEN", f"{path_text(skipped.path)}: {skipped.why}") from skipped

    async def _large(self, offset_bytes: int, size_bytes: int) -> bytes:
        end = min(offset_bytes + size_bytes, self.asked.size_bytes)
        starts = range(offset_bytes, end, PIECE_BYTES)
        reads = (self.reading.read(self.asked, at, min(PIECE_BYTES, end - at)) for at in starts)
        return b"".join(await asyncio.gather(*reads))


@dataclass(slots=True)
class Recording:
    """Turns what comes out of a pipeline into chunks and files. `full` takes a chunk that is whole
    and returns its place in the result once it is acked.
    """

    inputs: Sequence[task_pb2.TaskInput]
    pipeline: Pipeline
    target_bytes: int
    chunk_bytes_max: int
    files: list[task_pb2.ResultFile] = field(default_factory=list)
    counts: tuple[Counts, ...] = ()
    bytes_out: int = 0
    _chunk: Filled = field(default_factory=Filled)
    _aside: Filled = field(default_factory=Filled)
    _places: int = 0
    _open: list[task_pb2.ResultFile] = field(default_factory=list)  # Pieces in the open chunk.
    _next_input: int = 0
    _file: task_pb2.ResultFile = field(default_factory=task_pb2.ResultFile)
    _hash: blake3 = field(default_factory=blake3)

    async def take(self, event: Event) -> AsyncIterator[tuple[Filled, bool]]:
        """Chunks that became whole by this event; True: of records put aside."""
        match event:
            case Opened(path=path, index=index):
                self._begin(path, index)
            case Data(data=data):
                rest = memoryview(data)
                while rest:
                    space = self.chunk_bytes_max - self._chunk.size_bytes
                    await self._add(bytes(rest[:space]))
                    rest = rest[space:]
                    if self._chunk.size_bytes == self.chunk_bytes_max:
                        yield self._cut(), False
            case Closed(records=records):
                self._file.records = records or 0
                self._end()
            case Quarantined():
                self._aside.add(_line(event))
                if self._aside.size_bytes >= self.chunk_bytes_max:
                    aside, self._aside = self._aside, Filled()
                    yield aside, True
            case Done(counts=counts):
                self.counts = counts
                if self._chunk.size_bytes:
                    yield self._cut(), False
                if self._aside.size_bytes:
                    yield self._aside, True

    def placed(self, place: int) -> None:
        """The chunk that was cut last has this place in the result."""
        for file in self._open:
            file.chunk = place
        self._open = []

    def _begin(self, path: str, index: int) -> None:
        asked = self._input_of(path)
        self._file = task_pb2.ResultFile(
            path=path_bytes(path),
            at_bytes=index << PART_SHIFT,
            offset_bytes=self._chunk.size_bytes,
            origin=asked.path,
            origin_etag=asked.etag,
            modified_unix_ms=asked.modified_unix_ms,
            mode=asked.mode,
        )
        self._hash = blake3()

    def _input_of(self, path: str) -> task_pb2.TaskInput:
        """Outputs come in the order of the inputs, though not of every input there is one."""
        same = self.pipeline.output.format == "same"
        for at in range(self._next_input, len(self.inputs)):
            origin = path_text(self.inputs[at].path)
            if path == origin if same else path.startswith(f"{stem(origin)}/part-"):
                self._next_input = at
                return self.inputs[at]
        raise McError("FAILED", f"a pipeline made {path!r}, which is of none of its inputs")

    async def _add(self, data: bytes) -> None:
        await asyncio.to_thread(self._hash.update, data)
        self._chunk.add(data)
        self._file.size_bytes += len(data)
        self.bytes_out += len(data)

    def _end(self) -> None:
        self._file.blake3 = self._hash.digest()
        self.files.append(self._file)
        self._open.append(self._file)

    def _cut(self) -> Filled:
        """The open file, if there is one, goes on in the next chunk."""
        file = self._file
        if file.size_bytes and not file.blake3:
            self._end()
            self._file = task_pb2.ResultFile()
            self._file.CopyFrom(file)
            self._file.at_bytes += file.size_bytes
            self._file.size_bytes = self._file.offset_bytes = 0
            self._file.ClearField("blake3")
            self._hash = blake3()
        elif not file.blake3:
            self._file.offset_bytes = 0
        full, self._chunk = self._chunk, Filled()
        return full


def _line(one: Quarantined) -> bytes:
    """As `mcctl quarantine` reads it; a record that is no UTF-8 is told in base64."""
    try:
        record = {"record": one.record.decode()}
    except UnicodeDecodeError:
        record = {"record_base64": base64.b64encode(one.record).decode()}
    told = {"path": one.path, "offset": one.offset_bytes, "step": one.step, "reason": one.reason}
    return json.dumps(told | record, separators=(",", ":")).encode() + b"\n"


def processed(
    inputs: Sequence[task_pb2.TaskInput],
    pipeline: Pipeline,
    target_bytes: int,
    record_bytes_max: int,
    python_path: Sequence[str],
) -> Processed:
    parts = [part_of(asked, target_bytes) for asked in inputs]
    chunk_bytes = chunk_bytes_for(target_bytes)
    # One record may be all that steps see at once, however large the job's chunks are.
    bounds = chunk_bytes, max(chunk_bytes, record_bytes_max)
    return Processed(pipeline, parts, *bounds, python_path)
