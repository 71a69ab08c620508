"""A dev cluster as its user has it: the real command, in a home of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcctl.dev.processes import Known
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.v1 import admin_pb2, common_pb2

ALIVE = common_pb2.NODE_STATE_ALIVE
FACT_S_MAX = 20.0
MCCTL = [sys.executable, "-m", "mcctl"]


async def until(fact: Callable[[], Any], within_s: float = FACT_S_MAX) -> None:
    """Waits for a fact; fails when it does not come about."""
    async with asyncio.timeout(within_s):
        while not fact():
            await asyncio.sleep(0.02)


@dataclass
class Home:
    """An operator's account: configuration and dev clusters in folders of its own."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MC_", "XDG_"))}
        return {
            **clean,
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "MC_DEV_DIR": str(self.folder / "dev"),
        }

    @property
    def contexts(self) -> Contexts:
        return Contexts(self.env)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*MCCTL, *words], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.run(*words, "-o", "json")
        assert done.returncode == code, f"mcctl {' '.join(words)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def dev_folders(self) -> list[str]:
        root = self.folder / "dev"
        return sorted(path.name for path in root.iterdir()) if root.exists() else []

    def run_file(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "dev" / name / "run.json").read_text())
        return found

    def owners(self, name: str) -> list[Known]:
        """Every process of a dev cluster, the supervisor first."""
        run = self.run_file(name)
        return [Known.read(f) for f in (run["supervisor"], run["guardian"], *run["nodes"].values())]

    async def nothing_left(self, name: str, processes: list[Known]) -> None:
        """Waits until no process, folder or context of the cluster is left."""
        await until(lambda: not any(known.alive for known in processes))
        await until(lambda: name not in self.dev_folders())
        await until(lambda: not [n for n in self.contexts.names() if n.endswith(name)])


@dataclass
class Cluster:
    """A running cluster and what its nodes say of each other."""

    home: Home
    name: str
    described: dict[str, Any]
    _option: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._option = ["--name", self.name]

    def dev(self, *words: str) -> Any:
        return self.home.json("dev", *words, *self._option)

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(n for n in self.dev("status")["nodes"] if n["name"] == name)
        return found

    def client(self) -> Client:
        return Client(self.home.contexts.load(self.described["context"]))

    async def view(self, client: Client, asked: str) -> dict[str, common_pb2.Node]:
        connection = await client.to(asked)
        answer = await connection.admin.ListNodes(admin_pb2.ListNodesRequest(page_size=100))
        return {node.facts.name: node for node in answer.nodes}

    async def sees(self, asked: str, other: str, *, alive: bool) -> None:
        """Waits until one node sees another as alive, or as anything else."""
        async with asyncio.timeout(FACT_S_MAX), self.client() as client:
            while True:
                node = (await self.view(client, asked)).get(other)
                if (node is not None and node.state == ALIVE) is alive:
                    return
                await asyncio.sleep(0.05)
