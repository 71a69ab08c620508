"""One call between two processes of the simulated world: its messages keep their order. What a cut
holds up arrives after it, or the call breaks; a process that dies resets what was open.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from grpc.aio import AioRpcError, Metadata

from multicloud.errors import McError
from multicloud.status import STATUS_KEY, code_of, encode
from tests.sim.hosts import Host
from tests.sim.whole.loop import Loop
from tests.sim.world import World

RETRY_S, BREAKS_S = 0.25, 6.0  # What cannot pass is tried so often, and given up after so long.
_END = object()


class Process(Protocol):
    """One end of calls."""

    host: Host
    loop: Loop
    services: Mapping[str, Any]


Living = Callable[[str], Process | None]  # The process that runs on a node now.


class Wires(Protocol):
    """All calls of a world."""

    world: World
    living: Living
    calls: int
    open: dict[int, "Call"]


def _copied(message: Any) -> Any:
    """Both ends have their own, as after a wire."""
    if not hasattr(message, "SerializeToString"):
        return message
    other = type(message)()
    other.CopyFrom(message)
    return other


@dataclass(slots=True)
class Way:
    """One direction of a call."""

    last_s: float = 0.0
    waiting: list[tuple[Callable[[Any], None], Any]] = field(default_factory=list)
    since_s: float = 0.0


class Call:
    def __init__(
        self,
        wires: Wires,
        own: Process,
        to: str,
        serve: Callable[[Process, "Call"], Any],
        timeout_s: float | None = None,
    ) -> None:
        self.wires, self.world, self.own, self.to = wires, wires.world, own, to
        wires.calls += 1
        wires.open[wires.calls] = self
        self.over = False
        self._deaf_since_s: float | None = None
        self._serve = serve
        self._there, self._back = Way(), Way()
        self._asked: asyncio.Queue[Any] | None = None  # In the other process's loop.
        self._early: list[Any] = []
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._handler: asyncio.Task[Any] | None = None
        self._pumping: asyncio.Task[Any] | None = None
        self.other: Process | None = None
        self._send(self._there, self._arrives, None)
        if timeout_s is not None:
            late = _error(grpc.StatusCode.DEADLINE_EXCEEDED, "time is up")
            own.loop.call_later(timeout_s, self._breaks_here, late)

    # --- the caller's end

    def say(self, message: Any) -> None:
        self._send(self._there, self._asks, _copied(message))

    def finish_requests(self) -> None:
        self._send(self._there, self._asks, _END)

    def pump(self, requests: Any) -> None:
        async def pumping() -> None:
            if hasattr(requests, "__aiter__"):
                async for one in requests:
                    self.say(one)
            else:
                for one in requests:
                    self.say(one)
            self.finish_requests()

        self._pumping = self.own.loop.spawn(pumping())

    async def only_answer(self) -> Any:
        found = None
        async for answer in self.answers():
            found = answer
        return found

    async def answers(self) -> AsyncIterator[Any]:
        try:
            while True:
                answer = await self._answers.get()
                if answer is _END:
                    return
                if isinstance(answer, AioRpcError):
                    raise answer
                yield answer
        finally:
            self.cancel()

    def cancel(self) -> None:
        """The other side hears of it when the network lets it."""
        if self._pumping is not None:
            self._pumping.cancel()
        if not self.over:
            self._send(self._there, self._cancelled_there, None)
            self.over = True

    def _breaks_here(self, error: AioRpcError) -> None:
        if not self.over:
            self._answers.put_nowait(error)
            self.cancel()

    def is_over(self) -> bool:
        return self.over or self.own.loop.dead

    def look(self) -> None:
        now_s, a, b = self.world.now_s, self.own.host, self.world.by_id[self.to]
        passes = self.world.network.passes
        if passes(a.id, b.id) and passes(b.id, a.id) and not (a.silent or b.silent):
            self._deaf_since_s = None
        elif self._deaf_since_s is None:
            self._deaf_since_s = now_s
        elif now_s - self._deaf_since_s >= BREAKS_S:
            self._broken()

    # --- the other end

    async def requests(self) -> AsyncIterator[Any]:
        assert self._asked is not None
        while (message := await self._asked.get()) is not _END:
            if isinstance(message, McError):
                raise message
            yield message

    def answer(self, message: Any) -> None:
        self._send(self._back, self._answered, _copied(message))

    def _arrives(self, _: None) -> None:
        """The call reaches the other machine: a process takes it, or the machine refuses."""
        process = self.wires.living(self.to)
        if process is None:
            self._comes_back(_error(grpc.StatusCode.UNAVAILABLE, "connection refused"))
            return
        self.other = process
        self._asked = asyncio.Queue()
        for message in self._early:
            self._asked.put_nowait(message)
        self._handler = process.loop.spawn(self._handles(process))

    async def _handles(self, process: Process) -> None:
        try:
            await self._serve(process, self)
        except McError as error:
            trailers = Metadata((STATUS_KEY, encode(error)))
            self.answer(AioRpcError(code_of(error), Metadata(), trailers, error.message))
            return
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - A defect: the life tells of it.
            process.loop.broken.append(f"{process.host.name}: a call broke: {error!r}")
            self.answer(_error(grpc.StatusCode.INTERNAL, repr(error)))
            return
        self.answer(_END)

    def _asks(self, message: Any) -> None:
        if self.other is None:
            self._early.append(message)
        elif self._asked is not None and not self.other.loop.dead:
            self._in(self.other, lambda: self._asked.put_nowait(message))  # type: ignore[union-attr]

    def _cancelled_there(self, _: None) -> None:
        handler, other = self._handler, self.other
        if handler is not None and other is not None and not other.loop.dead:
            self._in(other, handler.cancel)

    # --- back at the caller

    def _answered(self, message: Any) -> None:
        self._comes_back(message)

    def _comes_back(self, message: Any) -> None:
        if self.own.loop.dead or self.over:
            return
        if message is _END or isinstance(message, AioRpcError):
            self._in(self.own, lambda: self._ends(message))
        else:
            self._in(self.own, lambda: self._answers.put_nowait(message))

    def _ends(self, message: Any) -> None:
        if not self.over:
            self.over = True
            self._answers.put_nowait(message)

    def _in(self, process: Process, work: Callable[[], object]) -> None:
        process.loop.call_soon(work)

    # --- the network between

    def _send(self, way: Way, arrive: Callable[[Any], None], message: Any) -> None:
        way.waiting.append((arrive, message))
        if len(way.waiting) == 1:
            way.since_s = self.world.now_s
            self._try(way, None)

    def _try(self, way: Way, _: None) -> None:
        """Everything that waits goes, in its order; or it waits on, and at last the call breaks."""
        world, network = self.world, self.world.network
        a, b = self.own.host, self.world.by_id[self.to]
        sender, receiver = (a, b) if way is self._there else (b, a)
        if self._gone(sender, receiver, way):
            return
        hears = not receiver.silent and not sender.silent
        if not (hears and network.passes(sender.id, receiver.id)):
            if world.now_s - way.since_s >= BREAKS_S:
                way.waiting.clear()
                self._broken()
                return
            world.later(world.now_s + RETRY_S, (self._try, way, None))
            return
        rtt_s = network.rtt_s(sender.domain, receiver.domain)
        for arrive, message in way.waiting:
            at_s = world.now_s + network.delay_s(sender.id, receiver.id, rtt_s, 0.2)
            way.last_s = max(way.last_s, at_s)
            world.later(way.last_s, (self._delivered, arrive, message))
        way.waiting.clear()

    def _delivered(self, arrive: Callable[[Any], None], message: Any) -> None:
        arrive(message)

    def _gone(self, sender: Host, receiver: Host, way: Way) -> bool:
        """A process that died says nothing more."""
        end = self.own if way is self._there else self.other
        if end is not None and end.loop.dead:
            way.waiting.clear()
            return True
        return False

    def _broken(self) -> None:
        """Each end that still lives finds out by itself."""
        self._comes_back(_error(grpc.StatusCode.UNAVAILABLE, "the network is cut"))
        self._reset_there()

    def _reset_there(self) -> None:
        other = self.other
        if other is not None and not other.loop.dead and self._asked is not None:
            lost = McError("UNREACHABLE", "the caller is gone")
            asked = self._asked
            self._in(other, lambda: asked.put_nowait(lost))
            if self._handler is not None:
                self._in(other, self._handler.cancel)

    def reset(self, by: Process) -> None:
        """A process died: its kernel resets what was open, when the other can be reached."""
        if self.over and by is self.own:
            return
        if by is self.other:
            self._comes_back(_error(grpc.StatusCode.UNAVAILABLE, "connection reset"))
        elif by is self.own:
            self._reset_there()
            self.over = True


def _error(code: grpc.StatusCode, why: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), why)
