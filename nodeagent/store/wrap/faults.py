"""A store that fails as it is told: typed errors, slowness and flipped bits, for tests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from multicloud.errors import McError
from nodeagent.store.contract import Store
from nodeagent.store.wrap.around import Around

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call, in this order."""

    delay_s: float = 0.0
    reason: str = ""  # Of the table of errors: the call is not made.
    lost_answer: bool = False  # The call is made, and `reason` comes all the same.
    flip: bool = False  # A frame loses a bit on its way to the reader.


Plan = Callable[[str], Fault | None]


class Faulty(Around):
    """`plan` is asked at each call, by its name; "frame" for each frame that is read."""

    def __init__(
        self, inner: Store, plan: Plan, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        super().__init__(inner)
        self._plan = plan
        self._sleep = sleep

    async def around(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        fault = await self._suffered(name)
        if fault is not None and fault.reason:
            if fault.lost_answer:
                await call()
            raise McError(fault.reason, f"{name} was told to fail", retry_after_s=0.0)
        return await call()

    async def frame(self, data: bytes) -> bytes:
        fault = await self._suffered("frame")
        if fault is None:
            return data
        if fault.reason:
            raise McError(fault.reason, "a frame was told to fail")
        return bytes([data[0] ^ 1]) + data[1:] if fault.flip else data

    async def _suffered(self, name: str) -> Fault | None:
        fault = self._plan(name)
        if fault is not None and fault.delay_s:
            await self._sleep(fault.delay_s)
        return fault
