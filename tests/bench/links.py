"""How true the dev cluster's network is: delays beside what was set, and bytes per second."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcctl.dev.network import Network
from tests.bench.frame import Row, Say, row
from tests.support.nodes import free_ports

ONE_WAY_MS = (0.0, 0.5, 5.0, 40.0, 75.0)
PINGS = 60
PUSHES, PUSH_MIB = 5, 64
FAR_MS = 40.0
NARROW_MBIT, NARROW_MIB = 200, 16
THERE, BACK = ("a", "b"), ("b", "a")
LISTEN_POLL_S = 0.01
BITS_OF_MIB = 8 * (1 << 20)


async def rows(say: Say) -> AsyncIterator[Row]:
    say("one link between two sockets")
    async with both_ends() as (ends, target), Network() as network:
        (port,) = free_ports(1)
        network.link(*THERE, port, network.target("b", target))
        await listens(port)
        direct_ms = await ask_ends(ends, f"ping {target} {PINGS}")
        yield row("round trip without a link", direct_ms, "ms", "loopback: the machine's floor")
        for delay_ms in ONE_WAY_MS:
            network.shape([THERE, BACK], delay_ms / 1000, 0)
            found_ms = await ask_ends(ends, f"ping {port} {PINGS}")
            off_ms = [abs(ms - 2 * delay_ms) for ms in found_ms]
            how = f"{PINGS} round trips of a byte, beside what was set"
            yield row(f"error of {2 * delay_ms:g} ms there and back", off_ms, "ms", how)
        async for found in _bandwidth(ends, network, port, target):
            yield found


async def _bandwidth(ends: Process, network: Network, port: int, target: int) -> AsyncIterator[Row]:
    async def pushed(to: int, mib: int) -> list[float]:
        return [await ask_ends(ends, f"push {to} {mib}") for _ in range(PUSHES)]

    how = f"{PUSH_MIB} MiB over one connection"
    found = await pushed(target, PUSH_MIB)
    yield row("bytes without a link", found, "MiB/s", f"{how}: the floor", more_is_better=True)
    network.shape([THERE, BACK], 0.0, 0)
    yield row("bytes, no delay", await pushed(port, PUSH_MIB), "MiB/s", how, more_is_better=True)
    network.shape([THERE, BACK], FAR_MS / 1000, 0)
    found = await pushed(port, PUSH_MIB)
    yield row(f"bytes, {2 * FAR_MS:g} ms there and back", found, "MiB/s", how, more_is_better=True)
    network.shape([THERE, BACK], 0.0, NARROW_MBIT * 1e6 / 8)
    found = await pushed(port, NARROW_MIB)
    share = [100 * mib_s * BITS_OF_MIB / (NARROW_MBIT * 1e6) for mib_s in found]
    what = f"share of {NARROW_MBIT} Mbit/s that was set"
    yield row(what, share, "%", f"{NARROW_MIB} MiB over one connection", more_is_better=True)


@asynccontextmanager
async def both_ends() -> AsyncIterator[tuple[Process, int]]:
    """The process with both ends, and the port on which one of them serves."""
    command = (sys.executable, "-m", "tests.bench.ends")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ask_ends(ends: Process, line: str) -> Any:
    assert ends.stdin is not None
    assert ends.stdout is not None
    ends.stdin.write(f"{line}\n".encode())
    return json.loads(await ends.stdout.readline())


async def listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(LISTEN_POLL_S)
            else:
                writer.close()
                return
