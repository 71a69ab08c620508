"""How `mcctl dev` and its supervisor talk: one JSON object a line, over a unix socket.

A request is {"do": …}. The answers to it are any number of {"note": text}, then one
{"done": value} or {"error": {…}}.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multicloud.errors import FieldFault, McError

LINE_BYTES_MAX = 16 << 20


async def write(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next line; None when the other side has gone."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = json.loads(line)
    return message


def leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that a person should hear: the first McError, else the first."""
    found, _ = group.split(McError)
    inner = (found or group).exceptions[0]
    return leaf(inner) if isinstance(inner, BaseExceptionGroup) else inner


def error_fields(error: McError) -> dict[str, Any]:
    faults = [[f.field, f.rule, f.where, f.nearest] for f in error.faults]
    return {"reason": error.reason, "message": error.message, "next": error.next, "faults": faults}


def error_of(fields: dict[str, Any]) -> McError:
    faults = [FieldFault(*fault) for fault in fields["faults"]]
    return McError(fields["reason"], fields["message"], next=fields["next"], faults=faults)


async def ask(
    where: Path | socket.socket, request: dict[str, Any], note: Callable[[str], None]
) -> Any:
    """Sends a request and returns what came of it. The supervisor must be there."""
    if isinstance(where, Path):
        reader, writer = await asyncio.open_unix_connection(where, limit=LINE_BYTES_MAX)
    else:
        reader, writer = await asyncio.open_unix_connection(sock=where, limit=LINE_BYTES_MAX)
    try:
        await write(writer, request)
        while (message := await read(reader)) is not None:
            if "note" in message:
                note(message["note"])
            elif "error" in message:
                raise error_of(message["error"])
            else:
                return message["done"]
    except ConnectionError:
        pass  # It went while it was asked; said below.
    finally:
        writer.close()
    raise McError("UNREACHABLE", "the dev cluster went away in the middle", next="`mcctl dev up`")
