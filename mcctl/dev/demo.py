"""`mcctl dev demo`: shows a whole cluster at work, checks every claim, and leaves nothing behind.

`ok` is true only if every check held, the last one being that nothing is left.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcctl import show
from mcctl.dev import acts, ask, intruder
from mcctl.dev.commands import bring_up
from mcctl.dev.demo_job import answered, jobs_are_served, working
from mcctl.dev.folder import Folder, folder_of
from mcctl.dev.layout import CLOUDS_DEFAULT, NODES_DEFAULT
from mcctl.dev.processes import Known
from mcctl.dev.stage import Checks, Stage
from mcctl.show import Cell
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError
from multicloud.v1 import admin_pb2

SEEN_S_MAX = 30.0
EXIT_UNREACHABLE = 3


async def run(env: Mapping[str, str], *, mib: int) -> int:
    """The whole demonstration; the exit code says whether all of it held."""
    folder = folder_of(f"demo-{secrets.token_hex(3)}", env)
    checks = Checks()
    keep = env.get("DEMO_KEEP") == "1"
    show.note("A cluster of six nodes in three clouds, on this machine:")
    begun_s = time.monotonic()
    described = await bring_up(folder, nodes=NODES_DEFAULT, clouds=CLOUDS_DEFAULT, wan=True)
    took_s = time.monotonic() - begun_s
    said = f"{len(described['nodes'])} daemons are ready and have met after {took_s:.1f} s"
    checks.add("up", True, said, took_s)
    checks.figure("start_s", took_s)
    owners = _owners(folder)
    try:
        await _show(folder, described, checks, mib)
    finally:
        if not keep:
            await ask.down(folder, show.note)
    if keep:
        _say_how_to_look(described)
    else:
        _nothing_left(checks, folder, described, owners)
    checks.figure("seconds", time.monotonic() - begun_s)
    value = {"ok": checks.ok, "figures": checks.figures, "checks": checks.done}
    show.emit(value, _screen(checks))
    return 0 if checks.ok else 1


async def _show(folder: Folder, described: dict[str, Any], checks: Checks, mib: int) -> None:
    async with Client(Contexts().load(described["context"])) as client, working(mib) as work:
        stage = Stage(folder, described, client, checks)
        served = await jobs_are_served(stage)
        if not served:
            show.note("Jobs are not served by these nodes yet: their part of the story is left out")
        for part in (
            *(acts.members, acts.distances, acts.election),
            *((work.ingest, work.lose) if served else (acts.kill,)),
            *(acts.freeze, acts.cut, _strangers, _reload, _audit),
        ):
            try:
                await part(stage)
            except McError as failed:
                checks.add(part.__name__.strip("_").replace("_", " "), False, str(failed))


async def _strangers(stage: Stage) -> None:
    show.note("Who does not belong is not let in:")
    context = stage.client.context
    node = context.endpoints[0]
    own = await intruder.with_own_certificate(context, node)
    stage.checks.add("own admin", not own, own or "let in")
    for name, attempt in (
        ("no certificate", intruder.without_certificate),
        ("foreign certificate", intruder.with_foreign_certificate),
    ):
        said = await attempt(context, node)
        stage.checks.add(name, bool(said), f"refused ({said})" if said else "LET IN")


async def _reload(stage: Stage) -> None:
    show.note("A configuration is reloaded without a restart, and a bad one is refused:")
    node = stage.nodes[0]
    config, admin = Path(node["config"]), (await stage.client.to(node["name"])).admin
    good = await asyncio.to_thread(config.read_text)
    try:
        await asyncio.to_thread(config.write_text, good + '[telemetry]\nlog_level = "debug"\n')
        answer = await admin.ReloadConfig(admin_pb2.ReloadConfigRequest())
        applied = list(answer.applied)
        said = f"{node['name']} has applied {', '.join(applied) or 'nothing'}"
        stage.checks.add("reload", applied == ["telemetry.log_level"], said)
        await asyncio.to_thread(config.write_text, good + "[telemetry]\nlog_levle = 1\n")
        try:
            await admin.ReloadConfig(admin_pb2.ReloadConfigRequest())
        except McError as refused:
            fault = str(refused.faults[0]) if refused.faults else refused.message
            stage.checks.add("bad reload", refused.reason == "CONFIG_INVALID", f"refused: {fault}")
        else:
            stage.checks.add("bad reload", False, "a file with an unknown key was taken")
    finally:
        await asyncio.to_thread(config.write_text, good)
        await admin.ReloadConfig(admin_pb2.ReloadConfigRequest())


async def _audit(stage: Stage) -> None:
    show.note("What was changed stands in logs that cannot be edited unseen:")
    begun_s, code = time.monotonic(), EXIT_UNREACHABLE
    verdicts: list[dict[str, Any]] = []
    # The node that answers may still be redialling the one that has just come back.
    while code == EXIT_UNREACHABLE and time.monotonic() - begun_s < SEEN_S_MAX:
        code, verdicts = await answered("audit", "verify", "--context", stage.described["context"])
    records = sum(verdict["records"] for verdict in verdicts)
    held = sum(bool(verdict["ok"]) for verdict in verdicts)
    ok = code == 0 and held == len(stage.names) and records > 0
    said = f"{held} of {len(stage.names)} logs are whole, {records} records"
    stage.checks.add("audit", ok, said)


def _nothing_left(
    checks: Checks, folder: Folder, described: dict[str, Any], owners: list[Known]
) -> None:
    show.note("It is stopped:")
    left = [f"process {known.pid}" for known in owners if known.alive]
    if folder.path.exists() or folder.socket.exists():
        left.append(str(folder.path))
    if described["context"] in Contexts().names():
        left.append(f"context {described['context']}")
    checks.add("gone", not left, "; ".join(left) or "no process, no folder, no context is left")


def _owners(folder: Folder) -> list[Known]:
    run = folder.read_run()
    return [Known.read(f) for f in (run["supervisor"], run["guardian"], *run["nodes"].values())]


def _say_how_to_look(described: dict[str, Any]) -> None:
    name, context = described["name"], described["context"]
    show.note(
        f"It is left running, since DEMO_KEEP=1. To look at it: mcctl nodes --context {context}"
    )
    show.note(f"mcctl dev status --name {name}; and to end it: mcctl dev down --name {name}")


def _screen(checks: Checks) -> Cell:
    held = sum(check["ok"] for check in checks.done)
    text = f"{held} of {len(checks.done)} checks held"
    return Cell(text, "bold green" if checks.ok else "bold red")
