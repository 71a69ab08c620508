"""A pipeline tried on a file of this machine, without a cluster: what it does to its records.

It runs in the process of whoever asks; functions of the operator's still get one of their own.
"""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from nodeagent.core.pipeline.counts import Counts, hopeless
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.model import Pipeline, pipeline_hash
from nodeagent.process.caller import Caller
from nodeagent.process.chunk import Chunk, json_lines
from nodeagent.process.dtypes import word_of
from nodeagent.process.engine import Engine
from nodeagent.process.events import Data, Done, Opened, Quarantined
from nodeagent.process.pipeline_file import checked
from nodeagent.process.read import Bounds

CHUNK_BYTES = 8 << 20  # A trial wants its first records soon.
RECORD_BYTES_MAX = 64 << 20


@dataclass
class Trial:
    pipeline: str  # Its hash.
    passes_through: bool
    before: list[Any] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)  # Of what comes out, with types.
    quarantined: list[Quarantined] = field(default_factory=list)
    counts: tuple[Counts, ...] = ()
    files: dict[str, int] = field(default_factory=dict)  # What would be written, with its bytes.
    hopeless: str = ""  # Why a job with such records would stop.


def read_pipeline(path: Path, allowed: Collection[str] | None) -> Pipeline:
    return checked(_text(path), str(path), allowed)


def try_file(pipeline: Pipeline, path: Path, records_max: int, python_path: Sequence[str]) -> Trial:
    """The first records of the file through all steps. Raises what a job's task would raise."""
    found = Trial(pipeline_hash(pipeline), pipeline.passes_through)
    last = "read" if not pipeline.steps else pipeline.steps[-1].use
    seen: list[str] = []

    def look(step: str, chunk: Chunk) -> None:
        seen.append(step)
        if step == "read":
            found.before += map(json.loads, json_lines(chunk.frame))
            seen[:] = ["read"]
        if step == last and len(seen) == len(pipeline.steps) + 1:
            found.after += map(json.loads, json_lines(chunk.frame))
            found.columns = [(n, word_of(d)) for n, d in chunk.frame.schema.items()]

    caller = Caller(python_path, busy=lambda: None)
    bounds = Bounds(CHUNK_BYTES, RECORD_BYTES_MAX)
    engine = Engine(pipeline, caller, bounds, look, records_max)
    with _LocalFile(path) as source:
        part = Part(path.name, 0, source.size_bytes, 0, source.size_bytes)
        try:
            _collect(found, engine, part, source)
        finally:
            caller.close()
    found.hopeless = hopeless(pipeline, found.counts, finished=True)
    return found


def _collect(found: Trial, engine: Engine, part: Part, source: "_LocalFile") -> None:
    at = ""
    for event in engine.run([part], lambda part: source):
        match event:
            case Opened(path=at):
                found.files[at] = 0
            case Data(data=data):
                found.files[at] += len(data)
            case Quarantined():
                found.quarantined.append(event)
            case Done(counts=counts):
                found.counts = counts


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise McError("PIPELINE_INVALID", f"{path} is not UTF-8") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> McError:
    reason = "NOT_FOUND" if isinstance(error, FileNotFoundError) else "USAGE"
    return McError(reason, f"{path} cannot be read: {error.strerror}", next="check the path")


class _LocalFile:
    """A regular file, read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "_LocalFile":
        try:
            if not self._path.is_file():
                self._path.stat()
                raise McError("USAGE", f"{self._path} is no file", next="name one file to try")
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self.size_bytes = os.fstat(self._file).st_size
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            return os.pread(self._file, size_bytes, offset_bytes)
        except OSError as error:
            raise _unreadable(self._path, error) from error
