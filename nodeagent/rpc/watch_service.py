"""WatchService: the answering side of the watch's streams."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from coordinator.events import Received
from coordinator.types import NodeId
from multicloud.v1 import watch_pb2
from nodeagent.rpc.call import Call
from nodeagent.rpc.words import from_word

Queue = asyncio.Queue[watch_pb2.Word | None]  # None: the stream is over.


class Ears(Protocol):
    """Who takes what observers say, and gives what is to be told them."""

    def heard(self, event: Received) -> None: ...
    def attach(self, observer: NodeId) -> Queue: ...
    def detach(self, observer: NodeId, queue: Queue) -> None: ...


@dataclass(slots=True)
class WatchService:
    ears: Ears

    async def observe(
        self, requests: AsyncIterator[watch_pb2.ObserveRequest], call: Call
    ) -> AsyncIterator[watch_pb2.ObserveResponse]:
        observer = call.caller.holder.identity.name
        queue = self.ears.attach(observer)
        # No TaskGroup: its scope must not span the yields of a generator that others drive.
        hearing = asyncio.get_running_loop().create_task(self._hear(observer, requests))
        hearing.add_done_callback(lambda _: _end(queue))
        try:
            while (word := await queue.get()) is not None:
                yield watch_pb2.ObserveResponse(word=word)
            await hearing  # Raises what ended it.
        finally:
            self.ears.detach(observer, queue)
            hearing.cancel()

    async def _hear(
        self, observer: NodeId, requests: AsyncIterator[watch_pb2.ObserveRequest]
    ) -> None:
        async for request in requests:
            self.ears.heard(Received(observer, from_word(request.word)))

    async def tell(self, request: watch_pb2.TellRequest, call: Call) -> watch_pb2.TellResponse:
        self.ears.heard(Received(call.caller.holder.identity.name, from_word(request.word)))
        return watch_pb2.TellResponse()


def _end(queue: Queue) -> None:
    while queue.full():
        queue.get_nowait()
    queue.put_nowait(None)
