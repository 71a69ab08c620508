"""Calls made one after the other, or many at once for a while: the time that each took, and what
they cost the server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from multicloud.channel import Credentials, open_channel
from tests.bench import cost

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Burst:
    """What a while of calls came to."""

    per_s: float
    cpu_us: float  # Of the server, for each call.
    ms: list[float]


async def one_by_one(call: Call, count: int) -> list[float]:
    """Milliseconds of each."""
    found_ms = []
    for _ in range(count):
        begun_ns = time.perf_counter_ns()
        await call()
        found_ms.append((time.perf_counter_ns() - begun_ns) / 1e6)
    return found_ms


async def at_once(calls: Sequence[Call], over_s: float, server_pid: int) -> Burst:
    """Each of `calls` is repeated without a pause, all at the same time."""
    found_ms: list[float] = []
    begun_s, used_s = time.monotonic(), cost.cpu_s(server_pid)

    async def repeat(call: Call) -> None:
        while time.monotonic() - begun_s < over_s:
            started_ns = time.perf_counter_ns()
            await call()
            found_ms.append((time.perf_counter_ns() - started_ns) / 1e6)

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(repeat(call))
    took_s = time.monotonic() - begun_s
    used_s = cost.cpu_s(server_pid) - used_s
    return Burst(len(found_ms) / took_s, used_s / len(found_ms) * 1e6, found_ms)


class Channels:
    """Channels to one server; an async context manager that closes them."""

    def __init__(self, address: str, dns_name: str, who: Credentials, count: int = 1) -> None:
        self._open = [open_channel(address, dns_name, who) for _ in range(count)]

    async def __aenter__(self) -> list[grpc.aio.Channel]:
        return self._open

    async def __aexit__(self, *_error: object) -> None:
        for channel in self._open:
            await channel.close()
