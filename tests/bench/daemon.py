"""One daemon as systemd runs it: started with a socket to tell READY on, and stopped again."""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from identity.names import Identity
from multicloud.channel import Credentials
from tests.support.nodes import Place, make_place
from tests.support.people import CLUSTER, People

READY_S_MAX = 30.0
END_S_MAX = 10.0


@dataclass(frozen=True)
class Daemon:
    place: Place
    pid: int
    ready_s: float  # From before the process was made to READY=1.
    people: People

    @property
    def dns_name(self) -> str:
        return Identity(CLUSTER, "node", self.place.id).dns_name

    @property
    def operator(self) -> Credentials:
        return self.people.operator("bench", "admin")


@dataclass(frozen=True)
class World:
    """A cluster of one, on the disk; its daemon may be started again and again."""

    people: People
    place: Place


@asynccontextmanager
async def world(sections: Mapping[str, Mapping[str, Any]] | None = None) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="mcb-") as folder:
        people = People(Path(folder) / "authority")
        yield World(people, make_place(people, Path(folder), 1, sections))


@asynccontextmanager
async def running(world: World, *settings: str) -> AsyncIterator[Daemon]:
    """`settings` are SECTION.KEY=VALUE. Its log goes nowhere: nobody's disk is measured by it."""
    notify = world.place.folder / "notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as told:
        told.bind(str(notify))
        command = [sys.executable, "-m", "nodeagent", "run", "--config", str(world.place.config)]
        for setting in settings:
            command += ["--set", setting]
        begun_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(READY_S_MAX):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(told, 4096):
                    pass
            yield Daemon(world.place, process.pid, time.monotonic() - begun_s, world.people)
            process.terminate()
            async with asyncio.timeout(END_S_MAX):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
