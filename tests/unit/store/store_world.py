"""A store under test, its clock, and what happens to its medium behind its back; small chunks."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from blake3 import blake3

from multicloud.errors import McError
from nodeagent.store.contract import Committed, Held, Pin, Store
from tests.support.chunks import FRAME, Chunk, seal

JOB = Pin("job-1")


@dataclass
class Clock:
    """A clock that only the test moves."""

    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class World:
    """A store, and what happens to its medium behind its back."""

    store: Store
    clock: Clock
    spoil: Callable[[bytes, int], None]  # Flips a bit of that chunk at that offset.
    lose: Callable[[bytes], None]  # The chunk's file is gone.
    reopen: Callable[[], Awaitable[Store]] | None = None  # None: it does not outlive the process.
    told: list[tuple[Held, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.on_damage(lambda held, why: self.told.append((held, why)))


def chunk_of(number: int, frames: int = 3) -> Chunk:
    """Chunks of different numbers have different ids."""
    plain = number.to_bytes(8, "big") * (FRAME // 8) * frames
    return seal(plain[:-5], salt=blake3(plain).digest())


def large_chunk(size_bytes: int) -> Chunk:
    """Of about that size, in frames as writers make them."""
    plain = os.urandom(1 << 20) * (size_bytes // (1 << 20)) + bytes(size_bytes % (1 << 20))
    return seal(plain, salt=blake3(plain).digest(), frame_bytes=1 << 20)


async def put(store: Store, chunk: Chunk, pin: Pin | None = JOB) -> Committed:
    writing = await store.put(len(chunk.file))
    await writing.write(chunk.header)
    for frame in chunk.frames:
        await writing.write(frame)
    await writing.write(chunk.trailer)
    return await writing.commit(chunk.envelope(), pin)


async def bytes_of(store: Store, chunk: Chunk) -> bytes:
    reading = await store.read(chunk.id)
    try:
        found = [reading.envelope.header]
        async for frame in reading.frames():
            found.append(frame)  # noqa: PERF401
        return b"".join([*found, reading.envelope.trailer])
    finally:
        await reading.close()


async def reason_of(call: Awaitable[object]) -> str:
    with pytest.raises(McError) as caught:
        await call
    return caught.value.reason


async def ids_of(held: AsyncIterator[Held]) -> list[bytes]:
    return [one.chunk_id async for one in held]
