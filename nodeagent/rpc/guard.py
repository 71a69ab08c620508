"""The one door of the API. Every call passes the same steps in the same order, and leaves as one
typed answer: identity, revocation, role, budget, deadline, span, service, audit.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError, Message
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from identity.certificate import Holder
from multicloud.errors import McError
from multicloud.status import STATUS_KEY, code_of, encode
from nodeagent.rpc.access import ACCESS, Rule
from nodeagent.rpc.call import Call, Caller
from nodeagent.rpc.services import Rpc

Context = grpc.aio.ServicerContext[Any, Any]


class Limits(Protocol):
    """The limits of the configuration that bind calls."""

    @property
    def control_message_bytes_max(self) -> int: ...
    @property
    def calls_per_address_max(self) -> int: ...
    @property
    def deadline_s_max(self) -> float: ...
    @property
    def stream_stall_s(self) -> float: ...


class Gate(Protocol):
    """Says who is calling, or refuses with a typed error."""

    def caller(
        self, auth: Mapping[str, Any], metadata: Mapping[str, str | bytes], peer: str, rule: Rule
    ) -> Caller: ...

    def revoked(self, holder: Holder) -> McError | None: ...


class Budget(Protocol):
    """Token buckets per identity."""

    def take(self, key: str) -> float:
        """0 when the call may go on, else the seconds to wait."""

    def reshape(self, per_s: float, burst: float) -> None:
        """New limits, from now on."""


class Record(Protocol):
    """The audit log as the guard uses it."""

    @property
    def healthy(self) -> bool: ...
    async def acting(self, call: Call, resource: str) -> None: ...
    def failed(self, call: Call, resource: str, error: McError) -> None: ...
    def denied(
        self, method: str, caller: Caller | None, peer: str, error: McError, trace_id: str
    ) -> None: ...


class Observer(Protocol):
    """Telemetry as the guard uses it: a span around a call, its trace id, and the outcome."""

    def around(
        self, method: str, metadata: Mapping[str, str | bytes]
    ) -> AbstractContextManager[str]: ...
    def done(self, method: str, code: str, seconds: float) -> None: ...
    def limited(self, limit: str) -> None: ...
    def defect(self, method: str, error: BaseException) -> None: ...


HEALTH = "/grpc.health.v1."
# Nothing waits for their end.
_V1 = "/multicloud.v1."
ENDLESS = (HEALTH, f"{_V1}InsightService/WatchEvents", f"{_V1}SourceService/ServeSource")
# Refusals that are an answer to who called, and so belong into the audit log.
DENIED = {
    "NO_IDENTITY",
    "CERTIFICATE_EXPIRED",
    "REVOKED",
    "REMOVED",
    "NOT_ALLOWED",
    "WRONG_PEER",
    "UNTRUSTED",
}


@dataclass(eq=False, slots=True)
class _Open:
    """A call that is running, so that a revocation or a stop can end it."""

    caller: Caller
    task: asyncio.Task[Any]
    rpc: Rpc
    ended_by: McError | None = None


@dataclass(slots=True)
class Guard(grpc.GenericRpcHandler):
    rpcs: Mapping[str, Rpc]
    gate: Gate
    budget: Budget
    record: Record
    observer: Observer
    limits: Callable[[], Limits]
    draining: bool = False
    _open: set[_Open] = field(default_factory=set)
    _per_address: dict[str, int] = field(default_factory=dict)
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        rpc = self.rpcs.get(details.method)
        if rpc is None or rpc.serve is None:
            return self._refusal(details.method)
        if rpc.takes_stream:
            make = grpc.stream_stream_rpc_method_handler
        else:
            make = grpc.unary_stream_rpc_method_handler
        handler = self._stream if rpc.streaming else self._unary
        if not rpc.streaming:
            make = grpc.unary_unary_rpc_method_handler

        async def serve(request: Any, context: Context) -> Any:
            return await handler(rpc, request, context)

        if rpc.raw:
            return make(serve)
        bytes_max = None if ACCESS[rpc.path].bulk else self.limits().control_message_bytes_max
        return make(
            serve,
            request_deserializer=lambda data: parse(rpc.request, data, bytes_max),
            response_serializer=rpc.response.SerializeToString,
        )

    def _refusal(self, method: str) -> "grpc.RpcMethodHandler[Any, Any]":
        """An RPC that is not served here is refused like any other: after the caller is judged."""

        async def unsupported(requests: Any, _call: Call) -> AsyncIterator[Any]:
            if requests is not None:
                raise McError("UNSUPPORTED", f"this node does not serve {method}")
            yield  # Never; it makes this a generator.

        rpc = Rpc(method, _Nothing, _Nothing, True, True, unsupported)  # type: ignore[arg-type]

        async def serve(requests: Any, context: Context) -> Any:
            return await self._stream(rpc, requests, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _unary(self, rpc: Rpc, request: Any, context: Context) -> Any:
        async with self._admitted(rpc, context) as call:
            rule = ACCESS[rpc.path]
            resource = _resource(_sound(request))
            if rule.mutating:
                await self.record.acting(call, resource)
            try:
                async with asyncio.timeout(call.remaining_s()):
                    return await rpc.serve(request, call)
            except McError as error:
                if rule.mutating:
                    self.record.failed(call, resource, error)
                raise

    async def _stream(self, rpc: Rpc, request: Any, context: Context) -> None:
        async with self._admitted(rpc, context) as call:
            rule = ACCESS.get(rpc.path)
            resource = "" if rpc.takes_stream else _resource(_sound(request))
            if rule and rule.mutating:
                await self.record.acting(call, resource)
            if rpc.takes_stream or rpc.gives_stream:
                await context.send_initial_metadata(())  # The caller learns that it was let in.
            paced = rpc.takes_stream and not rpc.raw
            source = self._reading(request) if paced else request
            answers = rpc.serve(source, call)
            try:
                if not rpc.gives_stream:
                    await self._send(context, await answers)
                    return
                async for answer in answers:
                    await self._send(context, answer)
            finally:
                if rpc.gives_stream:
                    await answers.aclose()

    async def _reading(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        stall_s = self.limits().stream_stall_s
        while True:
            try:
                async with asyncio.timeout(stall_s):
                    request = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise McError("STALLED", f"no message came for {stall_s:g} s") from error
            yield _sound(request)

    async def _send(self, context: Context, answer: Any) -> None:
        stall_s = self.limits().stream_stall_s
        try:
            async with asyncio.timeout(stall_s):
                await context.write(answer)
        except TimeoutError as error:
            raise McError("STALLED", f"nothing was read for {stall_s:g} s") from error

    @contextlib.asynccontextmanager
    async def _admitted(self, rpc: Rpc, context: Context) -> AsyncIterator[Call]:
        """The steps before a service, and the one way out of it."""
        started_s = time.monotonic()
        metadata = dict(context.invocation_metadata() or ())
        code = "OK"
        open_: _Open | None = None
        with self.observer.around(rpc.path, metadata) as trace_id, contextlib.ExitStack() as held:
            try:
                caller = self._judge(rpc, context, metadata, trace_id, held)
                open_ = held.enter_context(self._running(caller, rpc))
                yield Call(rpc.path, caller, self._deadline_s(rpc, context), trace_id, started_s)
            except asyncio.CancelledError:
                code = "CANCELLED"
                if open_ is None or open_.ended_by is None:
                    raise
                error = open_.ended_by
                code = error.row.code
                await self._abort(context, error, trace_id)
            except TimeoutError:
                code = "DEADLINE_EXCEEDED"
                await self._abort(
                    context, McError("DEADLINE", f"{rpc.path} took too long"), trace_id
                )
            except McError as error:
                code = error.row.code
                await self._abort(context, error, trace_id)
            except grpc.aio.AbortError:
                raise
            except cygrpc.InternalError:
                code = "CANCELLED"  # Whoever called has gone in the middle of an answer.
                raise
            except Exception as error:  # noqa: BLE001 - the border: a defect becomes an answer
                code = "INTERNAL"
                self.observer.defect(rpc.path, error)
                await self._abort(context, McError("INTERNAL", f"{rpc.path} failed"), trace_id)
            finally:
                self.observer.done(rpc.path, code, time.monotonic() - started_s)

    def _judge(
        self,
        rpc: Rpc,
        context: Context,
        metadata: Mapping[str, str | bytes],
        trace_id: str,
        held: contextlib.ExitStack,
    ) -> Caller:
        peer = str(context.peer())
        caller: Caller | None = None
        rule = ACCESS.get(rpc.path, Rule(frozenset()))
        try:
            caller = self.gate.caller(context.auth_context(), metadata, peer, rule)
            if rpc.path in ACCESS and not caller.holder.roles & rule.roles:
                raise McError(
                    "NOT_ALLOWED",
                    f"{caller.uri} may not call {rpc.path}",
                    facts={"roles": ",".join(sorted(rule.roles))},
                    next=f"ask an admin for one of the roles: {', '.join(sorted(rule.roles))}",
                )
        except McError as error:
            if error.reason in DENIED:
                self.record.denied(rpc.path, caller, peer, error, trace_id)
            raise
        held.enter_context(self._counted(_address(peer)))
        if self.draining and not rpc.path.startswith(HEALTH):
            raise McError("DRAINING", "this node is going down", retry_after_s=1.0)
        if not rule.bulk and not rule.unmetered:
            wait_s = self.budget.take(caller.key)
            if wait_s > 0:
                self.observer.limited("calls")
                raise McError("TOO_BUSY", f"{caller.key} calls too often", retry_after_s=wait_s)
        if rule.mutating and not self.record.healthy:
            raise McError(
                "AUDIT_UNWRITABLE", f"{rpc.path} is refused: the audit log cannot be written"
            )
        return caller

    def _deadline_s(self, rpc: Rpc, context: Context) -> float | None:
        asked_s = context.time_remaining()
        rule = ACCESS.get(rpc.path)
        if rule and rule.bulk:
            return asked_s
        most_s = self.limits().deadline_s_max
        return most_s if asked_s is None else min(asked_s, most_s)

    @contextlib.contextmanager
    def _running(self, caller: Caller, rpc: Rpc) -> Iterator[_Open]:
        task = asyncio.current_task()
        assert task is not None
        open_ = _Open(caller, task, rpc)
        self._open.add(open_)
        try:
            yield open_
        finally:
            self._open.discard(open_)
            self._left.set()

    @contextlib.contextmanager
    def _counted(self, address: str) -> Iterator[None]:
        count = self._per_address.get(address, 0)
        if count >= self.limits().calls_per_address_max:
            self.observer.limited("address")
            raise McError("TOO_BUSY", f"{address} has {count} calls open", retry_after_s=1.0)
        self._per_address[address] = count + 1
        try:
            yield
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    async def _abort(self, context: Context, error: McError, trace_id: str) -> None:
        error.trace_id = error.trace_id or trace_id
        trailing: list[tuple[str, str | bytes]] = [(STATUS_KEY, encode(error))]
        await context.abort(code_of(error), error.message, trailing_metadata=tuple(trailing))

    def end_revoked(self) -> int:
        """Ends the open calls of whoever is revoked by now; how many."""
        ended = 0
        for open_ in list(self._open):
            holders = [h for h in (open_.caller.holder, open_.caller.via) if h]
            error = next((e for h in holders if (e := self.gate.revoked(h))), None)
            if error:
                self.record.denied(open_.rpc.path, open_.caller, open_.caller.peer, error, "")
                self._end(open_, error)
                ended += 1
        return ended

    def end_all(self) -> None:
        for open_ in list(self._open):
            self._end(open_, McError("DRAINING", "this node is going down", retry_after_s=1.0))

    def _end(self, open_: _Open, error: McError) -> None:
        open_.ended_by = error
        open_.task.cancel()

    async def emptied(self) -> None:
        """Returns when no call is open but those that have no end of their own."""
        while any(not open_.rpc.path.startswith(ENDLESS) for open_ in self._open):
            self._left.clear()
            await self._left.wait()


class _Nothing:
    """The message of an RPC that is not served: bytes as they came."""


@dataclass(frozen=True, slots=True)
class Unsound:
    """A request that was not even parsed; the guard answers with the error, typed."""

    error: McError


def parse(message: type[Message], data: bytes, bytes_max: int | None) -> Message | Unsound:
    # A small message can unfold to a large object, so its size is judged before it is parsed.
    if bytes_max is not None and len(data) > bytes_max:
        said = f"the request has {len(data)} bytes; a control call may have {bytes_max}"
        return Unsound(McError("TOO_LARGE", said))
    try:
        return message.FromString(data)
    except DecodeError:
        said = f"the request is no {message.DESCRIPTOR.full_name}"
        return Unsound(McError("BAD_REQUEST", said))


def _sound(request: Any) -> Any:
    if isinstance(request, Unsound):
        raise request.error
    return request


def _resource(request: Any) -> str:
    """What a call is about, for the audit log."""
    for name in ("node", "job", "name", "alert"):
        value = getattr(request, name, "")
        if value and isinstance(value, str):
            return f"{name}/{value}"
    return ""


def _address(peer: str) -> str:
    """`ipv4:10.0.0.1:5000` without its port."""
    return peer.rpartition(":")[0]
