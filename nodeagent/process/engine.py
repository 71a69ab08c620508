"""Runs a pipeline over one task: bytes of its ranges in, events out, a chunk at a time in memory.

The same task gives the same bytes wherever it runs. This is the synchronous heart: it runs inside a
worker process, or, for `mcctl pipeline try`, in the command itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from multicloud.errors import McError
from nodeagent.core.pipeline.counts import Counts, names
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.kinds import HEAD_BYTES, FileKind, csv_of, resolve
from nodeagent.core.pipeline.model import Pipeline, Step
from nodeagent.core.pipeline.naming import name_of
from nodeagent.core.pipeline.source import Source, pieces
from nodeagent.core.pipeline.steps import STEPS
from nodeagent.process.apply import accounted, apply
from nodeagent.process.chunk import Bad, Chunk, Outcome, ReadChunk
from nodeagent.process.dtypes import field_type
from nodeagent.process.events import Closed, Data, Done, Event, Opened, Quarantined
from nodeagent.process.read import Bounds, Reading
from nodeagent.process.write import Writer, writer

DATA_BYTES_MAX = 1 << 20  # Of one piece of output.


class Caller(Protocol):
    """Whoever runs the operator's functions."""

    def call(self, step: Step, chunk: Chunk) -> Outcome: ...


Open = Callable[[Part], Source]
AfterStep = Callable[[str, Chunk], None]  # For whoever wants to look: `mcctl pipeline try`.


class Engine:
    """One pipeline; `run` is one task of it."""

    def __init__(
        self,
        pipeline: Pipeline,
        caller: Caller,
        bounds: Bounds,
        after_step: AfterStep | None = None,
        records_max: int | None = None,
    ) -> None:
        """`records_max`: of each part, for a trial; a job takes all."""
        self._pipeline, self._caller, self._bounds = pipeline, caller, bounds
        self._records_max = records_max
        self._after_step = after_step
        first = pipeline.steps[0] if pipeline.steps else None
        self._schema_first = first is not None and first.use == "validate.schema"
        self._schema = _json_schema(first) if first and self._schema_first else None
        judging = next((step for step in pipeline.steps if STEPS[step.use].judges), None)
        # What is no record at all is treated as the first step that judges treats a bad one.
        self._read_step = Step("read", {}, judging.on_bad if judging else "quarantine")

    def run(self, parts: Sequence[Part], open_source: Open) -> Iterator[Event]:
        """The parts in order. An error ends the task and names the path."""
        sums = [Counts(name) for name in names(self._pipeline)]
        for part in parts:
            source = open_source(part)
            if self._pipeline.passes_through:
                yield from _passed(part, source)
                continue
            try:
                yield from self._part(part, source, sums)
            except McError as error:
                if error.reason != "INPUT_BROKEN":
                    raise
                what = f"{part.path}: {error.message}"
                raise McError("INPUT_BROKEN", what, next=error.next) from error
        yield Done(tuple(sums))

    def _part(self, part: Part, source: Source, sums: list[Counts]) -> Iterator[Event]:
        pipeline = self._pipeline
        kind = self._kind(part, source)
        reading = Reading(
            kind,
            part,
            source,
            self._bounds,
            csv_of(part.path, pipeline.csv),
            pipeline.output.format == "same",
            self._schema,
        )
        path, index = name_of(part, pipeline)
        out: Writer | None = None
        if pipeline.output.format == "same":  # The path is kept even when nothing is left.
            out = writer(part, kind, pipeline)
            yield Opened(path, index)
        records = 0
        for found in self._limited(reading.chunks()):
            chunk, quarantined = self._through(found, sums)
            yield from quarantined
            height = chunk.frame.height
            sums[-1] += Counts("write", height, height)
            records += height
            if height and out is None:
                out = writer(part, kind, pipeline)
                yield Opened(path, index)
            if out is not None:  # Also without records: csv has a header, Parquet its columns.
                yield from _data(out.add(chunk))
        if out is not None:
            yield from _data(out.end())
            yield Closed(records)

    def _limited(self, found: Iterator[ReadChunk]) -> Iterator[ReadChunk]:
        left = self._records_max
        for one in found:
            if left is None:
                yield one
                continue
            taken = one.first(left)
            left -= len(taken)
            yield taken
            if left <= 0:
                return

    def _kind(self, part: Part, source: Source) -> FileKind:
        if not source.size_bytes:
            return FileKind("jsonl")  # Nothing is in every format nothing.
        head = source.read(0, min(HEAD_BYTES, source.size_bytes))
        kind = resolve(part.path, self._pipeline.input, head)
        if kind.format in ("", "raw"):
            what = "it is of no kind that has records, by its name and content"
            raise McError("INPUT_BROKEN", what, next="name the input in the pipeline")
        return kind

    def _through(self, found: ReadChunk, sums: list[Counts]) -> tuple[Chunk, list[Quarantined]]:
        """All steps over one chunk."""
        chunk, put_aside = found.chunk, []
        misfits = found.misfits
        read = accounted(
            self._read_step, chunk.frame.height + len(found.unread), chunk, found.unread
        )
        # What reads well but does not fit is a record for the first step to judge.
        self._count(sums, 0, read.counts, more=len(misfits))
        put_aside += _quarantined(chunk.path, "read", read.bad)
        self._look("read", chunk)
        for at, step in enumerate(self._pipeline.steps, 1):
            outcome = self._caller.call(step, chunk) if step.use == "python" else apply(step, chunk)
            if at == 1 and misfits:
                outcome = _with_misfits(step, outcome, misfits)
            self._count(sums, at, outcome.counts)
            put_aside += _quarantined(chunk.path, step.use, outcome.bad)
            chunk = outcome.chunk
            self._look(step.use, chunk)
        return chunk, put_aside

    def _count(self, sums: list[Counts], at: int, counts: Counts, more: int = 0) -> None:
        sums[at] += counts + Counts(counts.step, more, more)

    def _look(self, step: str, chunk: Chunk) -> None:
        if self._after_step is not None:
            self._after_step(step, chunk)


def _json_schema(step: Step) -> pa.Schema:
    declared = {name: field_type(word) for name, word in step.options["fields"].items()}
    return pa.schema(
        [pa.field(name, asked.json) for name, asked in declared.items() if not asked.any]
    )


def _with_misfits(step: Step, outcome: Outcome, misfits: list[Bad]) -> Outcome:
    told = accounted(step, len(misfits), outcome.chunk.clear(), misfits)
    bad = sorted([*outcome.bad, *told.bad], key=lambda bad: bad.offset_bytes)
    return Outcome(outcome.chunk, outcome.counts + told.counts, bad)


def _passed(part: Part, source: Source) -> Iterator[Event]:
    yield Opened(part.path, part.index)
    for piece in pieces(source, part.offset_bytes, part.end):
        yield Data(piece)
    yield Closed(None)


def _data(found: Iterable[bytes]) -> Iterator[Data]:
    for data in found:
        for at in range(0, len(data), DATA_BYTES_MAX):
            yield Data(data[at : at + DATA_BYTES_MAX])


def _quarantined(path: str, step: str, bad: list[Bad]) -> list[Quarantined]:
    return [Quarantined(path, one.offset_bytes, step, one.reason, one.record) for one in bad]
