"""Does one thing on many nodes, a few at a time, and says of each whether it was done."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mcctl import show
from mcctl.issued import Issued
from multicloud.errors import McError

AT_ONCE_MAX = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    node: str
    id: str
    state: str  # What was done, or "failed".
    detail: str = ""  # When it was done: until when, which version…
    problem: str = ""
    next: str = ""

    @property
    def failed(self) -> bool:
        return self.state == "failed"


async def for_each(
    nodes: Sequence[Issued], done: str, work: Callable[[Issued], Awaitable[str]]
) -> list[Outcome]:
    """The outcome of every node, in order. One that fails does not stop the others."""
    room = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(node: Issued) -> Outcome:
        async with room:
            try:
                return Outcome(node.name, node.id, done, await work(node))
            except McError as error:
                said = f"{error.message} [{error.reason}]"
                return Outcome(node.name, node.id, "failed", "", said, error.next)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(node)) for node in nodes]
    return [task.result() for task in tasks]


def plain(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "node": one.node,
            "id": one.id,
            "state": one.state,
            "detail": one.detail,
            "problem": one.problem,
            "next": one.next,
        }
        for one in outcomes
    ]


def blocks(outcomes: Sequence[Outcome]) -> list[show.Block]:
    """For people; nothing where there is no node yet."""
    rows: list[list[str | show.Cell]] = [
        [
            one.node,
            show.Cell(one.state, "red" if one.failed else "green"),
            one.detail or one.problem,
        ]
        for one in outcomes
    ]
    return [show.Table(["node", "state", "detail"], rows)] if rows else []


def exit_code(outcomes: Sequence[Outcome]) -> int:
    return 1 if any(one.failed for one in outcomes) else 0
