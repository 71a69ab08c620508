"""Calls as the SDK makes them: each has a deadline, and what fails is an McError."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from multicloud.status import decode

CALL_TIMEOUT_S = 10.0
STREAM_TIMEOUT_S = 600.0


class Calls:
    """A channel in whose place generated stubs take this: `AdminServiceStub(Calls(channel, …))`."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        peer: str,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        stream_timeout_s: float = STREAM_TIMEOUT_S,
    ) -> None:
        self._channel = channel
        self._peer = peer
        self._call_timeout_s = call_timeout_s
        self._stream_timeout_s = stream_timeout_s

    def unary_unary(self, *path: Any, **how: Any) -> Callable[..., Awaitable[Any]]:
        return self._one_answer(self._channel.unary_unary(*path, **how), self._call_timeout_s)

    def stream_unary(self, *path: Any, **how: Any) -> Callable[..., Awaitable[Any]]:
        return self._one_answer(self._channel.stream_unary(*path, **how), self._stream_timeout_s)

    def unary_stream(self, *path: Any, **how: Any) -> Callable[..., AsyncIterator[Any]]:
        return self._many_answers(self._channel.unary_stream(*path, **how))

    def stream_stream(self, *path: Any, **how: Any) -> Callable[..., AsyncIterator[Any]]:
        return self._many_answers(self._channel.stream_stream(*path, **how))

    def _one_answer(self, method: Any, timeout_s: float) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, *, timeout: float | None = None, **how: Any) -> Any:
            try:
                return await method(request, timeout=timeout or timeout_s, **how)
            except grpc.aio.AioRpcError as error:
                raise decode(error, self._peer) from error

        return call

    def _many_answers(self, method: Any) -> Callable[..., AsyncIterator[Any]]:
        async def answers(
            request: Any, *, timeout: float | None = None, **how: Any
        ) -> AsyncIterator[Any]:
            call = method(request, timeout=timeout or self._stream_timeout_s, **how)
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise decode(error, self._peer) from error
            finally:
                call.cancel()  # Whoever stops listening ends the call too.

        return answers
