"""What the parts of the demonstration share: the running cluster, what its nodes see and have told,
and the claims that are checked on the way.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcctl import reach, show, tales
from mcctl.dev import ask
from mcctl.dev.folder import Folder
from mcctl.nodes import STATE_STYLES
from mcctl.show import Cell, Table
from multicloud.client import PAGE_SIZE, Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

SEEN_S_MAX = 30.0  # Busy machines run it too: how long it really took is told beside the goal.
POLL_S = 0.1
ASK_S_MAX = 3.0
Views = Mapping[str, Mapping[str, str]]  # Who was asked, to the state of every node.


@dataclass
class Checks:
    """What was claimed, whether it held, and how long it took; and figures."""

    done: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, ok: bool, detail: str, seconds: float = 0.0) -> None:
        self.done.append({"name": name, "ok": ok, "detail": detail, "seconds": round(seconds, 3)})
        mark = Cell(f"  {'ok  ' if ok else 'FAIL'}  {name}: {detail}", "" if ok else "bold red")
        show.note(mark)

    def figure(self, name: str, value: float) -> None:
        self.figures[name] = value if isinstance(value, bool) else round(value, 3)

    @property
    def ok(self) -> bool:
        return bool(self.done) and all(check["ok"] for check in self.done)


@dataclass(frozen=True, slots=True)
class Stage:
    """The running cluster, and where results go."""

    folder: Folder
    described: dict[str, Any]
    client: Client
    checks: Checks

    @property
    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.described["nodes"]
        return found

    @property
    def names(self) -> list[str]:
        return [node["name"] for node in self.nodes]

    def others(self, *but: str) -> list[str]:
        return [name for name in self.names if name not in but]

    async def do(self, do: str, **what: Any) -> float:
        """Something to nodes or links; the time it was begun."""
        begun_s = time.time()
        await ask.ask(self.folder, {"do": do, **what}, show.note)
        return begun_s

    async def views(self, asked: Sequence[str]) -> Views:
        async def view(name: str) -> dict[str, str]:
            admin = (await self.client.to(name)).admin
            request = admin_pb2.ListNodesRequest(page_size=PAGE_SIZE)
            answer = await admin.ListNodes(request, timeout=ASK_S_MAX)
            return {node.facts.name: reach.state_name(node.state) for node in answer.nodes}

        found = await asyncio.gather(*(view(name) for name in asked))
        return dict(zip(asked, found, strict=True))

    async def until(self, asked: Sequence[str], what: str, holds: Callable[[Views], bool]) -> float:
        """Waits until the views of all who are asked are so; how long it took."""
        begun_s, away = time.monotonic(), ""
        while time.monotonic() - begun_s < SEEN_S_MAX:
            try:
                if holds(await self.views(asked)):
                    return time.monotonic() - begun_s
            except McError as error:  # One that has just come back does not answer yet.
                away = f" ({error.message})"
            await asyncio.sleep(POLL_S)
        raise McError("FAILED", f"{what}: not so after {SEEN_S_MAX:g} s{away}")

    async def all_well(self) -> float:
        everybody = dict.fromkeys(self.names, "alive")
        what = "every node sees every node alive"
        return await self.until(
            self.names, what, lambda views: all(view == everybody for view in views.values())
        )

    async def told(self, asked: str, since_s: float) -> list[tuple[str, str, float]]:
        """What a node has told since: the event, of whom, and how many seconds after."""
        names = {node["id"]: node["name"] for node in self.nodes}
        events = await tales.tale(self.client, asked)
        return [
            (one.name, names.get(one.facts["id"], ""), one.unix_ms / 1000 - since_s)
            for one in events
            if one.unix_ms / 1000 >= since_s
        ]

    async def known(self, asked: Iterable[str], event: str, node: str, since_s: float) -> float:
        """Waits until all who are asked have told an event; how long after the last one did."""
        last_s, end_s = 0.0, time.monotonic() + SEEN_S_MAX
        for name in asked:
            while not (took_s := _first(await self.told(name, since_s), event, node)):
                if time.monotonic() > end_s:
                    said = f"{name} has not told {event} of {node} within {SEEN_S_MAX:g} s"
                    raise McError("FAILED", said)
                await asyncio.sleep(POLL_S)
            last_s = max(last_s, took_s)
        return last_s


def _first(told: Iterable[tuple[str, str, float]], event: str, node: str) -> float:
    return next((s for name, of, s in told if (name, of) == (event, node)), 0.0)


def of_views(views: Views, names: Sequence[str]) -> Table:
    """Who sees whom how, a row for each who was asked."""
    rows: list[list[str | Cell]] = [
        [asked, *(_seen(view.get(name, "-"), own=name == asked) for name in names)]
        for asked, view in views.items()
    ]
    return Table(("SEEN BY", *names), rows)


def _seen(state: str, *, own: bool) -> str | Cell:
    return "." if own else Cell(state, STATE_STYLES.get(state, "bold red"))
