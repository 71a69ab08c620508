"""`mcctl node drain`: everything moves away from a node, and it is said when its machine may go."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import EXIT_INTERRUPTED, run_async
from mcctl.jobs_show import clock
from mcctl.options import options
from mcctl.show import Cell
from mcctl.sizes import human
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2

LOOK_EVERY_S = 1.0
LINE_EVERY_S = 10.0
AWAY = ("UNREACHABLE", "DEADLINE", "DRAINING", "STARTING")
AWAY_S_MAX = 60.0
RATE_SAMPLES = 30
DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
GONE = (common_pb2.NODE_STATE_REMOVED, common_pb2.NODE_STATE_DEAD)


@dataclass(frozen=True, slots=True)
class Progress:
    name: str
    told: bool  # The node has begun to say how far it is.
    chunks: int = 0
    size_bytes: int = 0
    proving: bool = False
    done: bool = False
    waits: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: common_pb2.Node, hindered: str) -> "Progress":
        facts, copies = node.facts, node.facts.copies
        left = copies.leaving
        told = facts.draining and copies.HasField("leaving") and bool(copies.basis or left.chunks)
        waits = [*left.waits, *([hindered] if hindered and left.chunks else [])]
        return cls(facts.name, told, left.chunks, left.bytes, left.proving, left.done, tuple(waits))

    def fields(self) -> dict[str, Any]:
        return {
            "node": self.name,
            "done": self.done,
            "chunks_left": self.chunks if self.told else None,
            "bytes_left": self.size_bytes if self.told else None,
            "waits": list(self.waits),
        }


@dataclass(slots=True)
class Pace:
    """How long it takes by how fast it went lately."""

    _seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RATE_SAMPLES))

    def left_s(self, found: Progress, now_s: float) -> float | None:
        size_bytes = found.size_bytes
        if not found.told or (self._seen and size_bytes > self._seen[-1][1]):
            self._seen.clear()  # Counting has just begun, or there is more to do than before.
        if not found.told:
            return None
        self._seen.append((now_s, size_bytes))
        begun_s, begun_bytes = self._seen[0]
        moved, took_s = begun_bytes - size_bytes, now_s - begun_s
        return size_bytes * took_s / moved if moved > 0 and took_s > 0 else None


def drain(
    name: Annotated[str, typer.Argument(metavar="NODE", help="Name or id.")],
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait", help="Stay until all is elsewhere; on a terminal that is the rule."
        ),
    ] = None,
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="Stay so long at most: 90, 30m, 2h (exit 124).")
    ] = "",
) -> int:
    """Everything moves away from the node, and nothing new is placed on it, also after it
    restarts. Says when its machine may be deleted. Ctrl-C leaves; the drain goes on.
    """
    deadline_s = seconds(deadline) if deadline else None
    stays = bool(deadline) or (_is_watched() if wait is None else wait)
    try:
        return run_async(_drain(name, stays, deadline_s))
    except KeyboardInterrupt:
        show.note(f"the drain of {name} goes on; `mcctl node drain {name}` looks again")
        show.next_step(f"`mcctl node undrain {name}` has it back")
        return EXIT_INTERRUPTED


def seconds(text: str) -> float:
    found = DURATION.fullmatch(text.strip())
    if found is None:
        raise McError("USAGE", f"{text!r} is no time", next="write it like 90, 30m, 2h or 1d")
    return float(found[1]) * SECONDS[found[2]]


def _is_watched() -> bool:
    return options().output == "table" and show.on_terminal()


async def _drain(name: str, stays: bool, deadline_s: float | None) -> int:
    async with reach.client() as client:
        answer = await client.admin.DrainNode(admin_pb2.DrainNodeRequest(node=name))
    found = Progress.of(answer.node, "")
    if not stays:
        said = f"{found.name} is draining: nothing new is placed on it, and what it has moves away"
        show.emit(found.fields(), said)
        show.next_step(f"`mcctl node drain {found.name} --wait` says when its machine may go")
        return 0
    try:
        async with asyncio.timeout(deadline_s):
            found = await _followed(answer.node.facts.id)
    except TimeoutError as late:
        said = f"{found.name} still has data that is not elsewhere; the drain goes on"
        then = f"`mcctl node drain {found.name}` looks again"
        raise McError("DEADLINE", said, next=then) from late
    show.emit(
        found.fields(),
        [
            Cell(f"{found.name} is empty: its machine may be deleted", "bold green"),
            "every live chunk of it has all its copies on other nodes, each checked within a day",
        ],
    )
    show.next_step(f"`mcctl node remove {found.name}`, then stop it; or `undrain` has it back")
    return 0


async def _followed(node_id: str) -> Progress:
    with _telling() as tell:
        async for progress in _looks(node_id):
            tell(progress)
            if progress.done:
                return progress
    raise AssertionError("looks never end by themselves")


async def _looks(node_id: str) -> AsyncIterator[Progress]:
    """By whichever node answers; the one that is drained need not be reached from here."""
    heard_s = time.monotonic()
    while True:
        try:
            async with reach.client() as client:
                while True:
                    seen = await reach.nodes(client)
                    heard_s = time.monotonic()
                    yield _progress(seen, node_id)
                    await asyncio.sleep(LOOK_EVERY_S)
        except McError as away:
            if away.reason not in AWAY or time.monotonic() - heard_s > AWAY_S_MAX:
                raise
        await asyncio.sleep(LOOK_EVERY_S)


def _progress(seen: list[reach.Seen], node_id: str) -> Progress:
    node = next((one.node for one in seen if one.node.facts.id == node_id), None)
    if node is None or node.state in GONE:
        name = node.facts.name if node else node_id
        said = f"{name} is gone before it was empty: what it had is made anew as of any lost node"
        raise McError("FAILED", said, next="`mcctl status` says how far that is")
    if not node.facts.draining and node.state == common_pb2.NODE_STATE_ALIVE:
        return Progress(node.facts.name, told=False)
    hindered = (one.node.facts.copies.hindered for one in seen)
    return Progress.of(node, next((why for why in hindered if why), ""))


@contextmanager
def _telling() -> Iterator[Callable[[Progress], None]]:
    pace = Pace()
    output = options().output
    if output == "jsonl":
        yield lambda found: show.emit(found.fields())
    elif output != "table" or options().quiet:
        yield lambda found: None
    elif show.on_terminal():
        with show.redrawn() as draw:
            yield lambda found: draw([line(found, pace.left_s(found, time.monotonic()))])
    else:
        yield _lines(pace)


def _lines(pace: Pace) -> Callable[[Progress], None]:
    before, told_s = "", -LINE_EVERY_S

    def tell(found: Progress) -> None:
        nonlocal before, told_s
        now_s = time.monotonic()
        text = line(found, pace.left_s(found, now_s))
        if text != before and now_s - told_s >= LINE_EVERY_S:
            before, told_s = text, now_s
            show.note(text)

    return tell


def line(found: Progress, left_s: float | None) -> str:
    """One line on a terminal of 80 columns, but for what is in the way."""
    if not found.told:
        return f"{found.name}: its chunks are being compared with what others have"
    why = f"; waiting: {'; '.join(found.waits)}" if found.waits else ""
    if found.chunks:
        amount = f"{found.chunks} chunks, {human(found.size_bytes)}"
        left = f", about {clock(left_s)}" if left_s is not None else ""
        return f"{found.name}: {amount} to bring elsewhere{left}{why}"
    doing = "the copies elsewhere are being proven" if found.proving else "nothing left to move"
    return f"{found.name}: {doing}{why}"
