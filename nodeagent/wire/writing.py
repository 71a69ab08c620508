"""Writing to a call without losing how the other side ended it.

The `write` of grpc.aio puts INTERNAL in the place of the status of a call that was ended while it
wrote, in about half of all cases. So bytes are given to the layer below it, and whoever reads the
call learns the status, with our reason in it.
"""

import asyncio
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]


async def begin(call: Any, message: bytes) -> None:
    """The first message: returns when the other side has let the call in, or has ended it."""
    try:
        await call.wait_for_connection()
    except grpc.aio.AioRpcError:
        return  # Whoever reads it learns why.
    await write(call, message)
    await call.initial_metadata()


async def write(call: Any, message: bytes) -> bool:
    """False when the call is over."""
    if call.done():
        return False
    try:
        await call._cython_call.send_serialized_message(message)
    except cygrpc.InternalError:
        return False
    return True


async def done(call: Any) -> None:
    """Nothing more will be written."""
    try:
        await call.done_writing()
    except (cygrpc.InternalError, asyncio.InvalidStateError):
        return
