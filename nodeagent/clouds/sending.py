"""Sends the parts of one object, a few at once, and takes the next only when there is room."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PARTS_AT_ONCE = 2


async def send_parts(
    parts: AsyncIterator[bytes], send: Callable[[int, bytes], Awaitable[T]]
) -> list[T]:
    """What `send` answered for each part, counted from 0. The first fault ends all of it."""
    room = asyncio.Semaphore(PARTS_AT_ONCE)
    sent: dict[int, T] = {}

    async def one(number: int, part: bytes) -> None:
        try:
            sent[number] = await send(number, part)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            number = 0
            await room.acquire()
            async for part in parts:
                group.create_task(one(number, part))
                del part
                number += 1
                await room.acquire()
    except* Exception as faults:  # noqa: BLE001  The first goes on as it came.
        raise _first(faults) from None
    return [sent[number] for number in sorted(sent)]


def _first(fault: BaseException) -> BaseException:
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
