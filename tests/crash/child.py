"""A process that uses a real store on a real disk and kills itself at a given call; or goes on
until it is killed. What it was told stands in a file, a line for each fact, before it goes on.

    python -m tests.crash.child        one order a line on stdin, one answer a line on stdout
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TypeVar

from nodeagent.store.local.files import RealFiles
from tests.crash.around import Around
from tests.crash.caller import Caller, chunk
from tests.crash.ground import open_real
from tests.crash.owed import Fact, Word
from tests.crash.planted import BUGS, sound
from tests.crash.scenes import SCENES
from tests.support.chunks import Chunk

T = TypeVar("T")
LOAD = "load"  # Puts, trashes and purges without end.
LOAD_FIRST, LOAD_LIVING, LOAD_AT_ONCE = 1000, 40, 6


# Whoever only looks leaves nothing behind.
READS = frozenset(("names", "stat", "stat_open", "pread", "room", "open"))


@dataclass(frozen=True, slots=True)
class Order:
    folder: str
    facts: str
    scene: str
    at: int  # The call that changes or syncs something, from 1; 0 never comes.
    after: bool  # Whether that call is still done.
    bug: str = ""  # One that is planted.


class Killed(Around):
    """Real files until the call that is the last."""

    def __init__(self, order: Order) -> None:
        super().__init__(RealFiles())
        self._order = order
        self._calls = count(1)
        self._lock = Lock()

    def call(self, name: str, run: Callable[[], T]) -> T:
        if name in READS:
            return run()
        with self._lock:
            last = next(self._calls) == self._order.at
        if last and not self._order.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = run()
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def play(order: Order) -> None:
    facts = os.open(order.facts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(fact: Fact) -> None:
        line = json.dumps([fact.word.name, fact.chunk.hex(), fact.holder])
        os.write(facts, line.encode() + b"\n")

    folder = Path(order.folder)
    if order.scene == LOAD:
        files = next((b.files for b in BUGS if b.name == order.bug), sound)(RealFiles())
        await load(Caller(await open_real(files, folder), note, {}))
    scene = SCENES[order.scene]
    store = await open_real(Killed(order), folder)
    await scene.play(Caller(store, note, {}))
    await store.close()


async def load(caller: Caller) -> None:
    """Never ends. Some chunks are large; the oldest go to the trash, and then for good."""
    number = LOAD_FIRST
    while True:
        async with asyncio.TaskGroup() as group:
            for one in range(number, number + LOAD_AT_ONCE):
                group.create_task(caller.put(load_chunk(one), f"job-{one}" if one % 3 == 0 else ""))
        number += LOAD_AT_ONCE
        for old in range(number - LOAD_LIVING - LOAD_AT_ONCE, number - LOAD_LIVING):
            if old >= LOAD_FIRST:
                await caller.unpin(f"job-{old}")
                await caller.trash(load_chunk(old))
                await caller.purge(load_chunk(old - LOAD_LIVING))


def load_chunk(number: int) -> Chunk:
    return chunk(number, 1 + number % 5 * 6)


def facts_of(data: bytes) -> list[Fact]:
    """A last line that was not written whole was not told either."""
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [
        Fact(Word[word], bytes.fromhex(chunk_id), holder)
        for word, chunk_id, holder in map(json.loads, lines)
    ]


def line_of(order: Order) -> bytes:
    return json.dumps(asdict(order)).encode() + b"\n"


def main() -> None:
    """Forks for each order, for a start of Python costs more than a scene."""
    for line in sys.stdin:
        order = Order(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            asyncio.run(play(order))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
