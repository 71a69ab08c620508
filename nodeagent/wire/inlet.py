"""The sender of a put as its receiver sees it: parts within the credit that it was given, and
whether it is the one who stands still.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.core.window import Window
from nodeagent.wire.budget import Lease
from nodeagent.wire.parts import Kind, Parts, out_of_order, read_part

Say = Callable[[chunk_pb2.PutChunkResponse], None]


class Inlet:
    def __init__(
        self,
        requests: AsyncIterator[bytes],
        lease: Lease,
        say: Say,
        *,
        stall_s: float,
        clock_s: Callable[[], float],
    ) -> None:
        self._requests, self._lease, self._say = requests, lease, say
        self._stall_s, self._clock_s = stall_s, clock_s
        self._window = Window(lease.size_bytes, lease.pace.round_s)
        self._moved_s = clock_s()
        self._whole = False

    @property
    def bytes_arrived(self) -> int:
        return self._window.arrived

    async def parts(self) -> Parts:
        """Gives the first credit, then what comes, to the trailer."""
        window = self._window
        self._tell(window.open(self._clock_s()))
        async for raw in self._requests:
            part = read_part(raw)
            self._moved_s = self._clock_s()
            if not window.arrive(part.cost_bytes, self._moved_s):
                sent, may = window.arrived, window.granted
                raise out_of_order(f"{sent} bytes came where {may} were allowed")
            self._whole = part.kind is Kind.TRAILER
            yield part
            if self._whole:
                return

    def taken(self, size_bytes: int) -> None:
        """That much waits here no longer: the sender may send as much again."""
        window, now_s = self._window, self._clock_s()
        self._moved_s = now_s
        window.take(size_bytes)
        wanted = window.wanted_bytes(now_s)
        if wanted > window.size_bytes:
            window.size_bytes = self._lease.grow(wanted)
        if not self._whole:
            self._tell(window.grant())

    async def watch(self) -> None:
        """Raises STALLED when the sender could send and does not."""
        while not self._whole:
            left_s = self._stall_s - (self._clock_s() - self._moved_s)
            if left_s <= 0:
                if self._window.sender_may_send:
                    said = f"no part of the chunk came for {self._stall_s:g} s"
                    raise McError("STALLED", said)
                left_s = self._stall_s
            await asyncio.sleep(left_s)

    def learn(self) -> None:
        """What this stream has shown serves the next one of this sender."""
        self._lease.learn(self._window.round_s, self._window.size_bytes)

    def _tell(self, credit_bytes: int) -> None:
        if credit_bytes:
            credit = chunk_pb2.Credit(bytes=credit_bytes)
            self._say(chunk_pb2.PutChunkResponse(credit=credit))
