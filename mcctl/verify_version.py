"""`mcctl verify NAME@V`: the copies of all chunks of a version, read and proven now."""

from typing import Any

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.datasets import split, stub
from mcctl.show import Block, Cell, Table
from multicloud.errors import McError
from multicloud.v1 import read_pb2

VERIFY_S_MAX = 24 * 3600.0


def verify_version(where: str) -> int:
    name, version = split(where)
    found = run_async(_verify(name, version))
    show.emit(found, _screen(found))
    return 1 if found["copies_bad"] or found["copies_missing"] else 0


async def _verify(name: str, version: str) -> dict[str, Any]:
    async with reach.client() as client:
        names = {one.node.facts.id: one.node.facts.name for one in await reach.nodes(client)}
        asked = read_pb2.GetVersionRequest(name=name, version=version)
        which = (await stub(client).GetVersion(asked)).version
        request = read_pb2.VerifyVersionRequest(name=name, version=which.version)
        sums, bad = read_pb2.VerifyVersionResponse(), []
        async for sums in stub(client).VerifyVersion(request, timeout=VERIFY_S_MAX):
            for one in sums.bad:
                node = names.get(one.node, one.node)
                bad.append({"chunk": one.chunk_id.hex(), "node": node, "volume": one.volume})
        if not sums.last:
            raise McError("FAILED", f"{client.node.name} did not come to the end")
    return {
        "dataset": name,
        "version": which.version,
        "chunks": sums.chunks,
        "copies_checked": sums.copies_checked,
        "copies_good": sums.copies_good,
        "copies_bad": sums.copies_bad,
        "copies_missing": sums.copies_missing,
        "bad": bad,
    }


def _screen(found: dict[str, Any]) -> list[Block]:
    fine = not found["copies_bad"] and not found["copies_missing"]
    said = f"{found['copies_good']} good copies of {found['chunks']} chunks"
    said += f", {found['copies_bad']} bad" if found["copies_bad"] else ""
    said += f", {found['copies_missing']} missing" if found["copies_missing"] else ""
    rows = [[one["chunk"], one["node"], one["volume"] or "-"] for one in found["bad"]]
    table: list[Block] = [Table(("CHUNK", "NODE", "VOLUME"), rows)] if rows else []
    return [*table, Cell(said, "bold green" if fine else "bold red")]
