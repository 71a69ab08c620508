"""Real daemons on this machine that know each other, and a sender with an identity of its own.

No link stands between them, so what is measured is the nodes and the disk.
"""

import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from multicloud.channel import Credentials
from tests.bench.daemon import Daemon, World, running
from tests.bench.frame import Broken
from tests.bench.lines import Asked, asked
from tests.support.nodes import Place, make_place
from tests.support.people import People

JOIN = {"greet_every_s": 0.2, "greet_timeout_s": 1.0}
SENDER_NUMBER = 1000
IN_MEMORY = frozenset(("tmpfs", "ramfs"))


@dataclass(frozen=True)
class Fleet:
    folder: Path
    people: People
    daemons: Sequence[Daemon]

    @property
    def ids(self) -> list[str]:
        return [daemon.place.id for daemon in self.daemons]

    @property
    def pids(self) -> list[int]:
        return [daemon.pid for daemon in self.daemons]

    @property
    def operator(self) -> Credentials:
        return self.people.operator("bench", "admin")


@asynccontextmanager
async def bench_folder() -> AsyncIterator[Path]:
    """On a disk: figures of a file system in memory would say nothing of durability."""
    with tempfile.TemporaryDirectory(prefix="mcb-") as name:
        kind = filesystem(Path(name))
        if kind in IN_MEMORY:
            raise Broken(f"{name} is in memory ({kind}); set TMPDIR to a folder on a disk")
        yield Path(name)


def filesystem(folder: Path) -> str:
    found = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    return max(found, key=lambda p: len(p.mountpoint)).fstype if found else ""


@asynccontextmanager
async def fleet(folder: Path, count: int, *settings: str) -> AsyncIterator[Fleet]:
    people = People(folder / "authority")
    async with AsyncExitStack() as stack:
        daemons: list[Daemon] = []
        for number in range(1, count + 1):
            join = {"peers": [api_of(daemon.place) for daemon in daemons], **JOIN}
            place = make_place(people, folder, number, {"join": join})
            started = running(World(people, place), *settings)
            daemons.append(await stack.enter_async_context(started))
        yield Fleet(folder, people, daemons)


def api_of(place: Place) -> str:
    return listen_of(place, "api")


def listen_of(place: Place, what: str) -> str:
    """As the configuration of a place has it, which tests write a key to a line."""
    lines = place.config.read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith(f"{what} = "))


@asynccontextmanager
async def sender(
    fleet: Fleet, links: dict[str, str] | None = None, round_s: float = 0.0
) -> AsyncIterator[Asked]:
    """Once it has sent one small chunk to all daemons together. `links` go before addresses."""
    place = make_place(fleet.people, fleet.folder, SENDER_NUMBER)
    known = {daemon.place.id: api_of(daemon.place) for daemon in fleet.daemons}
    spec = place.folder / "sender.json"
    said = {"config": str(place.config), "addresses": known | (links or {}), "round_s": round_s}
    spec.write_text(json.dumps(said))
    async with asked("tests.bench.sender", str(spec)) as process:
        if fleet.daemons:
            await process.ask("meet", copies=len(fleet.daemons))
        yield process
