"""gRPC as production sees it, over the world's network: calls that wait, break, are refused.

The channel gives the generated stubs what grpc.aio would; the other end is the production servicer
in the other process. Messages of a stream keep their order. What a cut holds up arrives after it,
or the call breaks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from grpc.aio import AioRpcError

from multicloud.errors import McError
from multicloud.status import decode
from tests.sim.whole.call import Call, Living, Process
from tests.sim.world import World

LOOK_S, RESET_S = 1.0, 0.05


@dataclass(slots=True)
class Wires:
    """All calls of a world. `living` finds who answers."""

    world: World
    living: Living
    calls: int = 0
    open: dict[int, Call] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.later(LOOK_S, (self._look, None, None))

    def _look(self, _x: None, _y: None) -> None:
        """Keep-alive: an end that hears nothing for long takes the call for broken."""
        for number, call in list(self.open.items()):
            if call.is_over():
                del self.open[number]
            else:
                call.look()
        self.world.later(self.world.now_s + LOOK_S, (self._look, None, None))

    def died(self, process: Process) -> None:
        for call in list(self.open.values()):
            self.world.later(self.world.now_s + RESET_S, (Call.reset, call, process))

    def channel(self, own: Process, to: str) -> "Channel":
        return Channel(self, own, to)

    async def ask(
        self,
        own: Process,
        to: str,
        work: Callable[[Any], Awaitable[Any]],
        timeout_s: float = 5.0,
    ) -> Any:
        """A call that is no RPC of production: the other process does that work."""
        call = Call(self, own, to, _work(work))
        call.finish_requests()
        try:
            async with asyncio.timeout(timeout_s):
                return await call.only_answer()
        except TimeoutError as late:
            raise McError("DEADLINE", f"{to} did not answer in {timeout_s} s") from late
        except AioRpcError as error:
            raise decode(error, to) from error
        finally:
            call.cancel()


def _work(work: Callable[[Any], Awaitable[Any]]) -> Callable[[Process, Call], Any]:
    async def serve(process: Process, call: Call) -> None:
        call.answer(await work(process))

    return serve


@dataclass(slots=True)
class Channel:
    wires: Wires
    own: Process
    to: str

    def unary_unary(self, path: str, **_: Any) -> Any:
        return lambda request, **options: self._start(path, options, request).only_answer()

    def unary_stream(self, path: str, **_: Any) -> Any:
        return lambda request, **options: self._start(path, options, request).answers()

    def stream_unary(self, path: str, **_: Any) -> Any:
        return lambda requests, **options: self._start(path, options, None, requests).only_answer()

    def stream_stream(self, path: str, **_: Any) -> Any:
        return lambda requests, **options: Streams(self._start(path, options, None, requests))

    def _start(
        self, path: str, options: Mapping[str, Any], request: Any = None, requests: Any = None
    ) -> Call:
        service, method = path.rsplit("/", 1)
        name = service.rsplit(".", 1)[1]
        serve = _serve(name, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower(), requests is not None)
        call = Call(self.wires, self.own, self.to, serve, options.get("timeout"))
        if requests is None:
            call.say(request)
            call.finish_requests()
        else:
            call.pump(requests)
        return call


class Streams:
    """What a stub of two streams returns: it is iterated, and cancelled."""

    def __init__(self, call: Call) -> None:
        self._call, self._answers = call, call.answers()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._answers

    def cancel(self) -> None:
        self._call.cancel()


def _serve(service: str, method: str, streams: bool) -> Callable[[Process, Call], Any]:
    async def serve(process: Process, call: Call) -> None:
        servicer = process.services.get(service)
        if servicer is None:
            raise McError("STARTING", f"{service} is not there yet", retry_after_s=0.5)
        about = SimpleNamespace(
            uri=call.own.host.id,
            caller=SimpleNamespace(
                uri=call.own.host.id,
                holder=SimpleNamespace(identity=SimpleNamespace(name=call.own.host.id)),
            ),
        )
        asked = call.requests() if streams else await anext(call.requests())
        found = getattr(servicer, method)(asked, about)
        if hasattr(found, "__aiter__"):
            async for answer in found:
                call.answer(answer)
        else:
            call.answer(await found)

    return serve
