"""`mcctl status`: one screen. Is all data safe, and if not, what is not, and what to do."""

from typing import Any

from mcctl import jobs_show, reach, show
from mcctl.cli import run_async
from mcctl.jobs import listed
from mcctl.nodes import STATE_STYLES
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2, job_pb2

UNDECIDED = [s for s in job_pb2.JobState.values() if s and s not in jobs_show.ENDED]
WELL = {"alive", "draining", "left"}
VERDICT_STYLES = {
    "safe": "bold green",
    "danger": "bold red",
    "short": "bold yellow",
    "counting": "bold yellow",
}


def status() -> int:
    """One screen: all data safe, or exactly what is not. Exit 1 when data is in danger."""
    found = run_async(_status())
    show.emit(found, _screen(found))
    return 0 if found["safe"] else 1


async def _status() -> dict[str, Any]:
    async with reach.client() as client:
        return await asked(client)


async def asked(client: Client) -> dict[str, Any]:
    """As documented for `mcctl status -o json`."""
    answer = await client.admin.GetStatus(admin_pb2.GetStatusRequest())
    seen = reach.with_missing(answer.nodes, client.context.endpoints, answer.removed)
    jobs = [jobs_show.fields(job) for job in await _jobs(client)]
    return {
        "cluster": answer.cluster,
        "answered_by": client.node.name or client.node.address,
        "safe": answer.safe,
        "chunks_by_copies": {str(n): answer.chunks_by_copies[n] for n in answer.chunks_by_copies},
        "repair_debt": {
            "chunks": answer.repair_debt_chunks,
            "bytes": answer.repair_debt_bytes,
            "oldest_s": answer.repair_debt_oldest_s,
        },
        "chunks_uncounted": answer.chunks_uncounted,
        "counting": answer.counting,
        "nodes": [one.fields for one in seen],
        "council": council(answer.council),
        "jobs": jobs,
        "usd_today": answer.usd_today,
        "problems": problems(answer, seen, client.node.name),
    }


async def _jobs(client: Client) -> list[job_pb2.Job]:
    """Those that have not ended; none from a node that serves no jobs, or for who may not look."""
    try:
        return await listed(client, UNDECIDED)
    except McError as error:
        if error.reason not in ("UNSUPPORTED", "NOT_ALLOWED"):
            raise
        return []


def council(found: admin_pb2.CouncilStatus) -> dict[str, Any]:
    """As documented for `mcctl status -o json`."""
    members = [
        {"name": seat.node, "id": seat.id, "there": seat.there, "why": seat.why or None}
        for seat in found.members
    ]
    return {
        "epoch": found.epoch,
        "deciding": found.majority,
        "members": members,
        "registers": found.registers,
    }


def problems(
    answer: admin_pb2.GetStatusResponse, seen: list[reach.Seen], asked: str
) -> list[dict[str, str]]:
    """What the cluster tells, and the nodes that it does not tell of."""
    told = {node.facts.id for node in answer.nodes}
    return [
        *({"code": p.code, "what": p.what, "next": p.next} for p in answer.problems),
        *(
            {
                "code": "NODE_UNREACHABLE",
                "what": f"{one.node.facts.name} has not been heard by {asked} at all",
                "next": f"look at the machine: `systemctl status nodeagentd` on "
                f"{one.node.facts.name}, or `mcctl check` for what stands between",
            }
            for one in seen
            if one.node.facts.id not in told and one.node.state == common_pb2.NODE_STATE_UNREACHABLE
        ),
    ]


def _screen(found: dict[str, Any]) -> list[Block]:
    nodes, listed = found["nodes"], found["problems"]
    well = sum(node["state"] in WELL for node in nodes)
    clouds = len({node["cloud"] for node in nodes if node["cloud"]})
    blocks: list[Block] = [
        _verdict(found),
        f"cluster {found['cluster']}: {well} of {len(nodes)} nodes well, {_count(clouds, 'cloud')} "
        f"(as {found['answered_by']} sees it)",
    ]
    blocks.append(_council_line(found["council"]))
    if found["chunks_by_copies"] or found["chunks_uncounted"]:
        blocks.append(_copies_line(found))
    blocks += [_leaving_line(node) for node in nodes if node["state"] == "draining"]
    blocks += map(_job_line, found["jobs"])
    if found["usd_today"]:
        blocks.append(f"today: ${found['usd_today']:.2f}")
    ill = [node for node in nodes if node["state"] not in WELL]
    if ill:
        rows = [
            [n["name"], n["cloud"] or "-", n["region"] or "-", _state(n["state"]), n["address"]]
            for n in ill
        ]
        blocks.append(Table(("NODE", "CLOUD", "REGION", "STATE", "ADDRESS"), rows))
    for problem in listed:
        blocks += [
            Cell(f"{problem['code']}: {problem['what']}", "red"),
            f"  next: {problem['next']}",
        ]
    return blocks


def verdict(found: dict[str, Any]) -> tuple[str, str]:
    """A word for programs and a sentence for people. Danger is what one more loss, or a person who
    waits, may turn into lost data.
    """
    if found["safe"]:
        return "safe", "all data safe"
    by_copies = {int(copies): chunks for copies, chunks in found["chunks_by_copies"].items()}
    codes = {problem["code"] for problem in found["problems"]}
    if codes & {"CHUNK_LOST", "COPIES_AWAY"} or by_copies.get(0) or by_copies.get(1):
        return "danger", "DATA IN DANGER"
    if found["repair_debt"]["chunks"] or codes & {"DAMAGE"}:
        return "short", "not all data is safe: copies are missing"
    return "counting", "not known yet: copies are being counted"


def _verdict(found: dict[str, Any]) -> Cell:
    word, sentence = verdict(found)
    return Cell(sentence, VERDICT_STYLES[word])


def _copies_line(found: dict[str, Any]) -> str:
    by_copies = sorted(found["chunks_by_copies"].items(), key=lambda one: -int(one[0]))
    parts = [f"{n} with {c} {'copy' if c == '1' else 'copies'}" for c, n in by_copies]
    if found["chunks_uncounted"]:
        parts.append(f"{found['chunks_uncounted']} being counted")
    debt = found["repair_debt"]
    left = ""
    if debt["chunks"]:
        amount = f"{_count(debt['chunks'], 'chunk')}, {human(debt['bytes'])}"
        left = f"; to repair: {amount}, the oldest for {debt['oldest_s']} s"
    return f"chunks: {', '.join(parts)}{left}"


def _leaving_line(node: dict[str, Any]) -> Cell:
    name, leaving = node["name"], node["leaving"]
    if leaving is None:
        return Cell(f"{name} is draining", "yellow")
    if leaving["done"]:
        return Cell(f"{name} is empty: its machine may be deleted, `mcctl node remove {name}`")
    amount = f"{_count(leaving['chunks_left'], 'chunk')}, {human(leaving['bytes_left'])}"
    why = "".join(f"; {one}" for one in leaving["waits"])
    return Cell(f"{name} is draining: {amount} to bring elsewhere{why}", "yellow")


def _job_line(job: dict[str, Any]) -> Cell:
    why = f": {'; '.join(job['blocked'])}" if job["blocked"] else ""
    text = (
        f"job {job['job']} ({job['dataset']}): {job['state']}, {job['chunks_safe']} of "
        f"{job['chunks']} chunks safe{why}"
    )
    return Cell(text, jobs_show.STYLES.get(job["state"], ""))


def _council_line(found: dict[str, Any]) -> Block:
    if not found["epoch"]:
        return Cell("council: none is known here yet; nothing can be decided", "yellow")
    names = ", ".join(
        one["name"] if one["there"] else f"{one['name']} (away)" for one in found["members"]
    )
    line = f"council: epoch {found['epoch']}, {_count(len(found['members']), 'member')}: {names}"
    return line if found["deciding"] else Cell(f"{line}; nothing can be decided here", "red")


def _state(state: str) -> Cell:
    return Cell(state, STATE_STYLES.get(state, "bold red"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
