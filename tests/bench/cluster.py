"""A dev cluster for a bench: the real command, in a home of its own, and nothing left behind."""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.client import Client
from tests.bench.frame import Broken
from tests.live.cluster import Home

NAME = "bench"
COMMAND_S_MAX = 120.0
SAID_CHARS_MAX = 400  # The end of what a failed command has said.


async def timed(home: Home, *words: str, within_s: float = COMMAND_S_MAX) -> tuple[float, str]:
    """Runs `mcctl` as a user does: seconds from the start of the process to its end, and output."""
    begun_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcctl", *words),
        env=home.env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:  # `dev up` takes down what it had begun.
            process.send_signal(signal.SIGINT)
            await process.wait()
    took_s = time.monotonic() - begun_s
    if process.returncode:
        said = " ".join((err + out).decode().split())
        raise Broken(f"`mcctl {' '.join(words)}`: …{said[-SAID_CHARS_MAX:]}")
    return took_s, out.decode()


@dataclass
class DevCluster:
    home: Home
    described: dict[str, Any]
    up_s: float
    down_s: float = field(default=0.0)

    @property
    def names(self) -> list[str]:
        return [node["name"] for node in self.described["nodes"]]

    @property
    def pids(self) -> list[int]:
        return [node["pid"] for node in self.described["nodes"]]

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(n for n in self.described["nodes"] if n["name"] == name)
        return found

    async def dev(self, *words: str) -> str:
        return (await timed(self.home, "dev", *words, "--name", NAME, "-o", "json"))[1]

    async def run(self, *words: str, within_s: float = COMMAND_S_MAX) -> tuple[float, str]:
        """Seconds, and the JSON that it wrote."""
        output = () if "-o" in words else ("-o", "json")
        context = ("--context", self.described["context"])
        return await timed(self.home, *words, *context, *output, within_s=within_s)

    async def look_again(self) -> None:
        """Pids change with every start."""
        self.described = json.loads(await self.dev("status"))

    def client(self) -> Client:
        return Client(self.home.contexts.load(self.described["context"]))


@asynccontextmanager
async def dev_cluster(nodes: int, *more: str) -> AsyncIterator[DevCluster]:
    """Up, with links as wide as the world unless said; down however the bench ends."""
    with tempfile.TemporaryDirectory(prefix="mcb-") as folder:
        home = Home(Path(folder))
        up = ("dev", "up", "--name", NAME, "--nodes", str(nodes), *more, "-o", "json")
        try:
            up_s, out = await timed(home, *up)
            cluster = DevCluster(home, json.loads(out), up_s)
            yield cluster
            cluster.down_s, _ = await timed(home, "dev", "down", "--name", NAME)
        finally:
            if home.dev_folders():
                await timed(home, "dev", "down", "--name", NAME)
