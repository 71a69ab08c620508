"""Calls functions of the operator's, each in a process of its own that is killed when it must be.

A function that raises, hangs, crashes, eats memory or lies costs its record, never a neighbour's:
the process is started anew behind the record that broke it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from multicloud.errors import McError
from nodeagent.core.pipeline.lines import Block
from nodeagent.core.pipeline.model import Step
from nodeagent.process.apply import accounted
from nodeagent.process.called_process import CalledProcess
from nodeagent.process.callee import BYTES
from nodeagent.process.chunk import RECORD_SHOWN_BYTES_MAX, Bad, Chunk, Outcome, json_lines
from nodeagent.process.pipe import FRAME_BYTES_MAX, said
from nodeagent.process.read_jsonl import read_jsonl

BATCH_RECORDS, BATCH_BYTES = 1000, 1 << 20  # Sent together.
RECORD_BYTES_MAX = FRAME_BYTES_MAX // 2
BREAKS_MAX = 16  # In one chunk; behind that it is the function, not a record.


@dataclass
class _Results:
    made: list[bytes] = field(default_factory=list)  # Lines of JSON.
    source: list[int] = field(default_factory=list)  # Of each line: which record it was made of.
    bad: dict[int, str] = field(default_factory=dict)
    filtered: int = 0


class Caller:
    """The functions of one pipeline, their processes kept between chunks."""

    def __init__(self, path: Sequence[str], busy: Callable[[], None]) -> None:
        """`path`: folders of the operator's modules. `busy` is called while a function is waited
        for, so that nobody takes patience for a hang.
        """
        self._path, self._busy = list(path), busy
        self._running: dict[bytes, CalledProcess] = {}

    def call(self, step: Step, chunk: Chunk) -> Outcome:
        lines = list(json_lines(chunk.frame))
        binary = [n for n, d in chunk.frame.schema.items() if isinstance(d, pl.Binary)]
        results = _Results()
        at = breaks = 0
        careful = 0  # Up to here records go one by one: something among them breaks its process.
        while at < len(lines):
            if len(lines[at]) > RECORD_BYTES_MAX:
                results.bad[at] = f"a record of {len(lines[at])} bytes is too large for a function"
                at += 1
                continue
            end = at + 1 if at < careful else _batch_end(lines, at)
            got, why = self._batch(step, lines[at:end], at, binary)
            for one in got:
                _take(results, at, one)
                at += 1
            if why and end - at > 1:
                # What broke it may have been done many records before: they are done again, alone.
                careful = end
            elif why:
                results.bad[at] = why
                at, breaks = at + 1, breaks + 1
            if breaks > BREAKS_MAX:
                call = step.options["call"]
                what = f"{call} broke its process {breaks} times in a chunk of {chunk.path}: {why}"
                raise McError("RECORDS_BAD", what)
        return self._outcome(step, chunk, lines, results)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
        self._running.clear()

    def _batch(
        self, step: Step, lines: Sequence[bytes], first: int, binary: list[str]
    ) -> tuple[list[Any], str]:
        key = said(dict(step.options))
        if key not in self._running:
            self._running[key] = CalledProcess(step, self._path, self._busy)
        got, why = self._running[key].run(lines, first, binary)
        if why:
            self._running.pop(key).kill()
        return got, why

    def _outcome(
        self, step: Step, chunk: Chunk, lines: Sequence[bytes], results: _Results
    ) -> Outcome:
        made = _frame(results)
        bad = [
            Bad(
                chunk.offset(at),
                f"{step.options['call']}: {why}",
                lines[at][:RECORD_SHOWN_BYTES_MAX],
            )
            for at, why in sorted(results.bad.items())
        ]
        told = accounted(step, chunk.frame.height, chunk.remade(made), bad)
        counts = told.counts
        return Outcome(
            told.chunk,
            type(counts)(
                counts.step,
                counts.records_in,
                made.height,
                results.filtered,
                counts.records_dropped,
                counts.records_quarantined,
            ),
            told.bad,
        )


def _batch_end(lines: Sequence[bytes], first: int) -> int:
    size = 0
    for at in range(first, min(first + BATCH_RECORDS, len(lines))):
        size += len(lines[at])
        if size > BATCH_BYTES:
            return max(at, first + 1)
    return min(first + BATCH_RECORDS, len(lines))


def _take(results: _Results, at: int, one: Any) -> None:
    out = one.get("out") if isinstance(one, dict) else None
    if not isinstance(out, list) or not all(isinstance(record, dict) for record in out):
        why = one.get("bad") if isinstance(one, dict) else None
        results.bad[at] = why if isinstance(why, str) else "its process gave nonsense"
        return
    results.filtered += not out
    for record in out:
        results.made.append(json.dumps(record, separators=(",", ":")).encode())
        results.source.append(at)


def _frame(results: _Results) -> pl.DataFrame:
    """Of what was made; a record whose types do not fit the others' is bad, with its source."""
    block = Block(b"\n".join(results.made), 0)
    found = next(read_jsonl([block], "", 0, None))
    if found.unread:
        starts, at = {}, 0
        for line, source in zip(results.made, results.source, strict=True):
            starts[at] = source
            at += len(line) + 1
        for bad in found.unread:
            results.bad[starts[bad.offset_bytes]] = f"its result does not fit: {bad.reason}"
    frame = found.chunk.frame
    coded = [
        pl.col(name).struct.field(BYTES).str.decode("base64", strict=False).alias(name)
        for name, dtype in frame.schema.items()
        if isinstance(dtype, pl.Struct) and [field.name for field in dtype.fields] == [BYTES]
    ]
    return frame.with_columns(coded) if coded else frame
