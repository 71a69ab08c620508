"""`mcctl verify`: every member proves its copies now, of a chunk or a version, by reading them."""

from typing import Annotated, Any

import typer

from mcctl import show
from mcctl.cli import run_async
from mcctl.reach import client as reached
from mcctl.show import Block, Cell, Table
from mcctl.verify_version import verify_version
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

ID_DIGITS = 64
ASK_S = 60.0
STYLES = {"good": "green", "bad": "bold red", "unknown": "yellow"}


def verify(
    version: Annotated[
        str, typer.Argument(metavar="[NAME@V]", help="A version: all copies of all its chunks.")
    ] = "",
    chunk: Annotated[
        str, typer.Option("--chunk", metavar="ID", help="The chunk's id, 64 hex digits.")
    ] = "",
    replicas: Annotated[
        int, typer.Option(min=0, help="How many good copies are enough; else as its policy asks.")
    ] = 0,
) -> int:
    """Have every member read its copies of a version, or of a chunk, now and prove it, by a number
    that was never used before. Exit 1 when a copy is bad or too few are good.
    """
    if bool(chunk) == bool(version):
        then = "name a version: mcctl verify NAME@V, or a chunk: --chunk ID"
        raise McError("USAGE", "what is to be verified?", next=then)
    if version:
        return verify_version(version)
    found = run_async(_verify(_id(chunk), replicas))
    show.emit(found, _screen(found))
    return 1 if found["copies_bad"] or found["copies_missing"] else 0


def _id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) * 2 != ID_DIGITS:
        raise McError("USAGE", f"{text!r} is no chunk's id", next=f"it has {ID_DIGITS} hex digits")
    return found


async def _verify(chunk_id: bytes, replicas: int) -> dict[str, Any]:
    async with reached() as client:
        request = admin_pb2.VerifyChunkRequest(chunk_id=chunk_id)
        answer = await client.admin.VerifyChunk(request, timeout=ASK_S)
    copies = [
        {
            "node": one.node,
            "id": one.id,
            "volume": one.volume or None,
            "state": state_name(one.state),
            "reason": one.reason or None,
        }
        for one in answer.copies
    ]
    count = {state: sum(one["state"] == state for one in copies) for state in ("good", "bad")}
    wanted = replicas or answer.replicas
    return {
        "chunk": chunk_id.hex(),
        "replicas": wanted,
        "copies_checked": count["good"] + count["bad"],
        "copies_good": count["good"],
        "copies_bad": count["bad"],
        "copies_missing": max(0, wanted - count["good"]),
        "copies": copies,
    }


def state_name(state: "admin_pb2.CopyState.ValueType") -> str:
    return admin_pb2.CopyState.Name(state).removeprefix("COPY_STATE_").lower()


def _screen(found: dict[str, Any]) -> list[Block]:
    rows: list[list[str | Cell]] = [
        [
            one["node"],
            one["volume"] or "-",
            Cell(one["state"], STYLES.get(one["state"], "dim")),
            one["reason"] or "-" if one["state"] in ("bad", "unknown") else "-",
        ]
        for one in found["copies"]
    ]
    good, wanted, bad = found["copies_good"], found["replicas"], found["copies_bad"]
    fine = not bad and not found["copies_missing"]
    said = f"{good} good copies, {wanted} are asked for" + (f", {bad} bad" if bad else "")
    return [
        Table(("NODE", "VOLUME", "COPY", "WHY"), rows),
        Cell(said, "bold green" if fine else "bold red"),
    ]
