"""`mcctl nodes --watch`: the table again every second, or an object for each change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from mcctl import reach, show
from mcctl.options import options
from mcctl.show import Block
from multicloud.client import Client
from multicloud.errors import McError

EVERY_S = 1.0
ASK_S_MAX = 3.0
# These move all the time; what a change is, is told by the others.
RESTLESS = ("rtt_ms", "silent_s", "bytes_free")
AWAY = ("UNREACHABLE", "DEADLINE", "DRAINING")

Nodes = list[dict[str, Any]]


async def watch() -> None:
    """Until it is interrupted, or no node answers any more."""
    output = options().output
    if output not in ("table", "jsonl"):
        said = f"--watch has no end, and {output} is written at the end"
        raise McError("USAGE", said, next="use -o jsonl: an object for each change")
    if output == "jsonl":
        await _changes()
    elif show.on_terminal():
        await _screen()
    else:
        await _tables()


async def _screen() -> None:
    with show.redrawn() as draw:
        async for asked, found in _looks():
            draw(_blocks(asked, found))


async def _tables() -> None:
    """For files and pipes: the table whenever it is another one."""
    before: list[Any] = []
    async for asked, found in _looks():
        if (now := list(map(steady, found))) != before:
            before = now
            show.emit(found, _blocks(asked, found))


async def _changes() -> None:
    before: dict[str, dict[str, Any]] = {}
    async for _, found in _looks():
        for fields in found:
            if before.get(fields["id"]) != steady(fields):
                before[fields["id"]] = steady(fields)
                show.emit(fields)


def steady(fields: dict[str, Any]) -> dict[str, Any]:
    """What makes two looks at a node different ones."""
    return {key: value for key, value in fields.items() if key not in RESTLESS}


def _blocks(asked: str, found: Nodes) -> list[Block]:
    from mcctl.nodes import table

    return [table(found), f"as {asked} sees it"]


async def _looks() -> AsyncIterator[tuple[str, Nodes]]:
    """Who answered, and all nodes as it sees them. When it falls silent, the next one is asked."""
    while True:
        async with reach.client() as client:
            with contextlib.suppress(_Away):
                while True:
                    yield client.node.name or client.node.address, await _look(client)
                    await asyncio.sleep(EVERY_S)


class _Away(Exception):
    """Who answered until now does not any more."""


async def _look(client: Client) -> Nodes:
    try:
        async with asyncio.timeout(ASK_S_MAX):
            seen = await reach.nodes(client)
    except TimeoutError as late:
        raise _Away from late
    except McError as error:
        if error.reason in AWAY:
            raise _Away from error
        raise
    return [one.fields for one in await reach.measured(seen)]
