"""A worker: `python -m nodeagent.process.worker`. It runs one task after the other, and asks who
started it for the bytes; it knows no network, no store and no gRPC.
"""

import base64
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from multicloud.errors import McError
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.model import canonical, from_canonical
from nodeagent.memory import raise_malloc_thresholds
from nodeagent.process.events import Closed, Data, Done, Event, Opened, Quarantined
from nodeagent.process.limits import bound_memory, end_with_parent, no_core
from nodeagent.process.pipe import Gone, Kind, Pipe, said

BUSY_EVERY_S = 1.0
READ_BYTES_MAX = 8 << 20  # In one frame.


def main(argv: list[str]) -> int:
    connection, parent, memory_bytes_max = map(int, argv)
    end_with_parent(parent)
    no_core()
    raise_malloc_thresholds()
    pipe = Pipe(socket.socket(fileno=connection))
    # Everything heavy now, before somebody waits for a task and before memory is bounded.
    from nodeagent.process.engine import Engine  # noqa: F401

    bound_memory(memory_bytes_max)
    pipe.send(Kind.READY, said({"pid": os.getpid()}))
    while True:
        try:
            asked = pipe.receive()
            _failing(pipe, _check if asked.kind == Kind.CHECK else _task, asked.json)
        except Gone:
            return 0


def _failing(pipe: Pipe, work: Callable[[Pipe, Any], None], asked: Any) -> None:
    """What goes wrong is told, and the next task is taken."""
    try:
        work(pipe, asked)
    except McError as error:
        faults = [[f.field, f.rule, f.where, f.nearest] for f in error.faults]
        pipe.send(Kind.FAILED, said([error.reason, error.message, error.next, faults]))
    except MemoryError:
        what = "a chunk needs more memory than process.memory_bytes_max gives a worker"
        pipe.send(Kind.FAILED, said(["TOO_LARGE", what, "give more, or cut smaller chunks", []]))


def _check(pipe: Pipe, asked: Any) -> None:
    from nodeagent.process.pipeline_file import checked

    pipeline = checked(asked["text"], asked["name"], asked["allowed"])
    pipe.send(Kind.CHECKED, canonical(pipeline).encode())


def _task(pipe: Pipe, asked: Any) -> None:
    from nodeagent.process.caller import Caller
    from nodeagent.process.engine import Engine
    from nodeagent.process.read import Bounds

    told_s = 0.0

    def busy() -> None:
        nonlocal told_s
        if time.monotonic() - told_s > BUSY_EVERY_S:
            told_s = time.monotonic()
            pipe.send(Kind.BUSY)

    caller = Caller(asked["path"], busy)
    parts = [Part(*fields) for fields in asked["parts"]]
    bounds = Bounds(*asked["bounds"])
    engine = Engine(from_canonical(asked["pipeline"]), caller, bounds)
    try:
        for event in engine.run(parts, lambda part: _Asking(pipe, parts.index(part), part)):
            _tell(pipe, event)
    finally:
        caller.close()


class _Asking:
    """A part's object, read by whoever gave the task."""

    def __init__(self, pipe: Pipe, index: int, part: Part) -> None:
        self._pipe, self._index = pipe, index
        self.size_bytes = part.object_bytes

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        if size_bytes <= READ_BYTES_MAX:
            return self._read(offset_bytes, size_bytes)
        end = min(offset_bytes + size_bytes, self.size_bytes)
        starts = range(offset_bytes, end, READ_BYTES_MAX)
        return b"".join(self._read(at, min(READ_BYTES_MAX, end - at)) for at in starts)

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        self._pipe.send(Kind.READ, said([self._index, offset_bytes, size_bytes]))
        answer = self._pipe.receive()
        if answer.kind == Kind.BYTES:
            return answer.payload
        reason, message, next_ = answer.json
        raise McError(reason, message, next=next_)


def _tell(pipe: Pipe, event: Event) -> None:
    match event:
        case Data(data=data):
            pipe.send(Kind.DATA, data)
        case Opened(path=path, index=index):
            pipe.send(Kind.OPENED, said([path, index]))
        case Closed(records=records):
            pipe.send(Kind.CLOSED, said(records))
        case Quarantined():
            record = base64.b64encode(event.record).decode()
            told = [event.path, event.offset_bytes, event.step, event.reason, record]
            pipe.send(Kind.QUARANTINED, said(told))
        case Done(counts=counts):
            pipe.send(Kind.DONE, said([astuple(one) for one in counts]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
