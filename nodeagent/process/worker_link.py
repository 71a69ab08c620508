"""The daemon's end of one worker: gives it tasks, serves its reads, and ends it when it must."""

import asyncio
import base64
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from multicloud.errors import FieldFault, McError
from nodeagent.core.pipeline.counts import Counts
from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.model import Pipeline, canonical, from_canonical
from nodeagent.process.events import Closed, Data, Done, Event, Opened, Quarantined
from nodeagent.process.pipe import FRAME_BYTES_MAX, HEAD, Frame, Kind, framed, said
from nodeagent.process.spawn import command, environment

if TYPE_CHECKING:
    from nodeagent.process.pool import AsyncSource, OpenSource, Task

START_TIMEOUT_S = 60.0
READ_AHEAD_BYTES = 8 << 20  # Of an object that is read in order: one trip for many small reads.
BUFFER_BYTES = 2 << 20


class WorkerLink:
    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout_s: float,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._timeout_s = timeout_s
        self.idle = True
        self.tasks = 0

    @classmethod
    async def start(cls, memory_bytes_max: int, timeout_s: float) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command("nodeagent.process.worker"),
                *map(str, (theirs.fileno(), os.getpid(), memory_bytes_max)),
                pass_fds=(theirs.fileno(),),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment(),
                cwd="/",
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=BUFFER_BYTES)
        link = cls(process, reader, writer, START_TIMEOUT_S)
        try:
            await link._receive("while it started")
        except BaseException:
            await link.kill()
            raise
        link._timeout_s = timeout_s
        return link

    @property
    def pid(self) -> int:
        return self._process.pid

    async def check(self, text: str, name: str, allowed: Sequence[str]) -> Pipeline:
        self.idle = False
        await self._send(Kind.CHECK, said({"text": text, "name": name, "allowed": list(allowed)}))
        frame = await self._receive("while it checked a pipeline")
        self.idle = True
        if frame.kind == Kind.FAILED:
            raise _failure(frame.json)
        return from_canonical(frame.payload.decode())

    async def run(self, task: "Task", open_source: "OpenSource") -> AsyncIterator[Event]:
        self.idle = False
        self.tasks += 1
        await self._send(Kind.TASK, said(_asked(task)))
        sources: dict[int, _Ahead] = {}
        while True:
            frame = await self._receive(f"at {task.parts[0].path}" if task.parts else "")
            match frame.kind:
                case Kind.READ:
                    index, offset, size = frame.json
                    if index not in sources:
                        part = task.parts[index]
                        sources = {index: _Ahead(open_source(part), part)}
                    await self._serve(sources[index], offset, size)
                case Kind.BUSY:
                    continue
                case Kind.FAILED:
                    self.idle = True
                    raise _failure(frame.json)
                case Kind.DONE:
                    self.idle = True
                    yield Done(tuple(Counts(*fields) for fields in frame.json))
                    return
                case _:
                    yield _event(frame)

    async def _serve(self, source: "_Ahead", offset: int, size: int) -> None:
        try:
            data = await source.read(offset, size)
        except McError as error:
            await self._send(Kind.NO_BYTES, said([error.reason, error.message, error.next]))
        else:
            await self._send(Kind.BYTES, data)

    async def _send(self, kind: Kind, payload: bytes) -> None:
        try:
            self._writer.write(framed(kind, payload))
            await self._writer.drain()
        except OSError as error:
            raise await self._lost("") from error

    async def _receive(self, doing: str) -> Frame:
        try:
            async with asyncio.timeout(self._timeout_s):
                kind, size = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                if size > FRAME_BYTES_MAX:
                    raise await self._lost(f"{doing}: it sent a frame of {size} bytes")
                return Frame(kind, await self._reader.readexactly(size))
        except TimeoutError as error:
            what = f"{doing}: no sign of life for {self._timeout_s:g} s"
            raise await self._lost(what) from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise await self._lost(doing) from error

    async def _lost(self, doing: str) -> McError:
        await self.kill()
        code = self._process.returncode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return McError("WORKER_LOST", f"a worker process ended {doing} ({how})")

    async def kill(self) -> None:
        """With whatever it has started; nothing is left behind."""
        self.idle = False
        self._writer.close()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # It may end by itself meanwhile.
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class _Ahead:
    """Reads in order are answered out of larger ones: a source may be far away. Behind the end of
    a part nothing is read that was not asked for: bytes may cost money.
    """

    def __init__(self, source: "AsyncSource", part: Part) -> None:
        self._source, self._end = source, part.end
        self._at, self._held = part.offset_bytes, b""

    async def read(self, offset: int, size: int) -> bytes:
        inside = offset - self._at
        if inside >= 0 and inside + size <= len(self._held):
            return self._held[inside : inside + size]
        in_order = offset == self._at + len(self._held)
        rest = self._held[inside:] if 0 <= inside <= len(self._held) else b""
        at = offset + len(rest)
        wanted = size - len(rest)
        ahead = min(READ_AHEAD_BYTES, self._end - at) if in_order or rest else 0
        self._held = rest + await self._source.read(at, max(wanted, ahead))
        self._at = offset
        return self._held[:size]


def _asked(task: "Task") -> dict[str, Any]:
    return {
        "pipeline": canonical(task.pipeline),
        "parts": [
            [p.path, p.offset_bytes, p.size_bytes, p.index, p.object_bytes] for p in task.parts
        ],
        "bounds": [task.chunk_bytes, task.record_bytes_max],
        "path": list(task.python_path),
    }


def _event(frame: Frame) -> Event:
    match frame.kind:
        case Kind.DATA:
            return Data(frame.payload)
        case Kind.OPENED:
            return Opened(*frame.json)
        case Kind.CLOSED:
            return Closed(frame.json)
    assert frame.kind == Kind.QUARANTINED, "a worker speaks our words"
    path, offset, step, reason, record = frame.json
    return Quarantined(path, offset, step, reason, base64.b64decode(record))


def _failure(told: Any) -> McError:
    reason, message, next_, faults = told
    return McError(reason, message, next=next_, faults=[FieldFault(*fault) for fault in faults])
