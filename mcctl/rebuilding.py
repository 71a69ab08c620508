"""`mcctl doctor rebuild`: versions whose decision is lost, found again by their manifests."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from mcctl import reach, show
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import read_pb2
from multicloud.v1.read_pb2_grpc import DatasetServiceStub

STATES = {
    read_pb2.FOUND_STATE_UNDECIDED: "lost",
    read_pb2.FOUND_STATE_DECIDED: "stands",
    read_pb2.FOUND_STATE_REMOVED: "removed",
}
STYLES = {"lost": "yellow", "stands": "green", "removed": "dim", "decided": "green"}
Found = read_pb2.FoundManifest


async def rebuilt(*, decide: bool) -> dict[str, Any]:
    """What all nodes have; with `decide` what was lost is decided anew."""
    async with reach.client() as client:
        seen = await reach.nodes(client)
        lists = await asyncio.gather(*(_of_node(client, one) for one in seen))
        silent = [
            one.node.facts.name for one, found in zip(seen, lists, strict=True) if found is None
        ]
        versions = chosen(one for found in lists if found is not None for one in found)
        rows = []
        for one in versions:
            row = _fields(one)
            if decide and row["state"] == "lost":
                row |= await _decided(client, one)
            rows.append(row)
    return {"versions": rows, "silent": silent}


async def _of_node(client: Client, seen: reach.Seen) -> list[Found] | None:
    """None: it cannot be asked from here."""
    try:
        connection = await client.to(seen.node.facts.id or seen.address)
        answers = connection.stub(DatasetServiceStub).FindManifests(read_pb2.FindManifestsRequest())
        return [answer.found async for answer in answers]
    except McError as away:
        if away.reason not in ("UNREACHABLE", "DEADLINE", "DRAINING", "WRONG_PEER"):
            raise
        return None


def chosen(found: Iterable[Found]) -> list[Found]:
    """One of each version. A job that wrote its manifest twice wrote the same twice."""
    best: dict[tuple[str, str], Found] = {}
    for one in sorted(found, key=lambda each: (each.stored_unix_ms, each.chunk_id)):
        best[one.name, one.version] = one
    return [best[which] for which in sorted(best, key=_order)]


def _order(which: tuple[str, str]) -> tuple[str, int, str]:
    name, version = which
    return name, int(version) if version.isdecimal() else 0, version


async def _decided(client: Client, one: Found) -> dict[str, Any]:
    try:
        request = read_pb2.RebuildVersionRequest(found=one)
        await client.stub(DatasetServiceStub).RebuildVersion(request)
    except McError as refused:  # One that cannot be had hides no other.
        return {"why": refused.message}
    return {"state": "decided"}


def _fields(one: Found) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "state": STATES.get(one.state, "lost"),
        "files": one.files,
        "chunks": one.chunks,
        "bytes": one.bytes,
        "job": one.job,
        "why": None,
    }


def screen(found: dict[str, Any], *, decide: bool) -> list[Block]:
    versions = found["versions"]
    rows: list[Sequence[str | Cell]] = [
        [
            f"{one['name']}@{one['version']}",
            Cell(one["state"], STYLES[one["state"]]),
            f"{one['files']:,}",
            human(one["bytes"]),
            one["why"] or "-",
        ]
        for one in versions
    ]
    blocks: list[Block] = []
    if rows:
        blocks.append(Table(("VERSION", "STATE", ">FILES", ">SIZE", "WHY NOT"), rows))
    lost = sum(one["state"] == "lost" for one in versions)
    done = sum(one["state"] == "decided" for one in versions)
    blocks.append(f"versions with a manifest: {len(versions)}; lost: {lost}; decided anew: {done}")
    if found["silent"]:
        blocks.append(f"not asked, for they do not answer: {', '.join(found['silent'])}")
    if lost and not decide:
        show.next_step("`mcctl doctor rebuild --decide` makes those that are lost stand again")
    return blocks
