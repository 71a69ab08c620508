"""All links of a dev cluster, and what is done to them: delay, bandwidth, cut, stall, reset."""

import asyncio
from collections.abc import Collection, Coroutine
from types import TracebackType
from typing import Any

from mcctl.dev.link import Connection, Link, Target
from mcctl.dev.path import Path

Pair = tuple[str, str]  # From one node to another, by name.


class Network:
    """Owns the links. To be used as an async context manager: they close with it."""

    def __init__(self) -> None:
        self.paths: dict[Pair, Path] = {}
        self._links: dict[Pair, list[Link]] = {}
        self._targets: dict[str, list[Target]] = {}
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Network":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in self._all():
            await link.close()
        for task in list(self._running):
            task.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    def target(self, node: str, port: int) -> Target:
        """A port of a node; every link to it is made with it."""
        target = Target(port)
        self._targets.setdefault(node, []).append(target)
        self._spawn(target.watch())
        return target

    def link(self, a: str, b: str, port: int, target: Target) -> None:
        """Node `a` finds `target` of node `b` at `port`."""
        there, back = self.path(a, b), self.path(b, a)
        self._links.setdefault((a, b), []).append(Link(port, target, there, back, self._open))

    def path(self, a: str, b: str) -> Path:
        return self.paths.setdefault((a, b), Path())

    async def node_died(self, node: str) -> None:
        for target in self._targets.get(node, ()):
            await target.down()

    def shape(
        self, pairs: Collection[Pair], delay_s: float | None, bytes_per_s: float | None
    ) -> None:
        """Sets what is given, for each direction named; None leaves it as it is."""
        for pair in pairs:
            if delay_s is not None:
                self.path(*pair).delay_s = delay_s
            if bytes_per_s is not None:
                self.path(*pair).bytes_per_s = bytes_per_s or None

    async def cut(self, pairs: Collection[Pair]) -> None:
        """Nothing passes, everything stays open, new connections hang."""
        await self._set_cut(pairs, cut=True)

    async def heal(self, pairs: Collection[Pair]) -> None:
        """What was held goes on. Delay and bandwidth stay."""
        await self._set_cut(pairs, cut=False)
        self._freeze(pairs, frozen=False)

    def stall(self, pairs: Collection[Pair]) -> None:
        """What is open now stands still; new connections work."""
        self._freeze(pairs, frozen=True)

    def stalled(self, pair: Pair) -> int:
        """How many connections stand still."""
        return sum(link.frozen for link in self._links.get(pair, ()))

    def reset(self, pairs: Collection[Pair]) -> None:
        """What is open now ends with RST on both sides."""
        for pair in pairs:
            for link in self._links.get(pair, ()):
                link.reset()

    async def _set_cut(self, pairs: Collection[Pair], *, cut: bool) -> None:
        for pair in pairs:
            self.path(*pair).set_cut(cut)
        for a, b in pairs:
            for link in (*self._links.get((a, b), ()), *self._links.get((b, a), ())):
                await link.settle()

    def _freeze(self, pairs: Collection[Pair], *, frozen: bool) -> None:
        for pair in pairs:
            for link in self._links.get(pair, ()):
                link.freeze(frozen)

    def _all(self) -> list[Link]:
        return [link for links in self._links.values() for link in links]

    def _open(self, connection: Connection) -> None:
        self._spawn(connection.open())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
