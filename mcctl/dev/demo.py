"""`mcctl dev demo`: shows a whole cluster at work, checks every claim, and leaves nothing behind.

`ok` is true only if every check held, the last one being that nothing is left.
"""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcctl import show
from mcctl.dev import ask, intruder, meet
from mcctl.dev.commands import bring_up
from mcctl.dev.folder import Folder, folder_of
from mcctl.dev.layout import CLOUDS_DEFAULT, NODES_DEFAULT
from mcctl.dev.network import Pair
from mcctl.dev.processes import Known
from mcctl.show import Cell, Table
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2

# How far a measured round trip may be from the delays set: six daemons share few cores here.
RTT_SLACK_MS, RTT_SLACK_SHARE = 10.0, 0.2
SEEN_S_MAX = 15.0
POLL_S = 0.05
EXIT_UNREACHABLE = 3
GREETING_S = 1.0  # Nodes measure as often as that.


@dataclass
class Checks:
    """What was claimed, whether it held, and how long it took."""

    done: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, ok: bool, detail: str, seconds: float = 0.0) -> None:
        self.done.append({"name": name, "ok": ok, "detail": detail, "seconds": round(seconds, 3)})
        show.note(f"  {'ok  ' if ok else 'FAIL'}  {name}: {detail}")

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
    owners = _owners(folder)
    try:
        await _show(folder, described, checks)
    finally:
        if not keep:
            await ask.down(folder, show.note)
    if keep:
        _say_how_to_look(described)
    else:
        _nothing_left(checks, folder, described, owners)
    # Bytes, and so figures, come with the issues that move data; `mib` is their size.
    show.emit({"ok": checks.ok, "figures": {}, "checks": checks.done}, _screen(checks))
    return 0 if checks.ok else 1


async def _show(folder: Folder, described: dict[str, Any], checks: Checks) -> None:
    async with Client(Contexts().load(described["context"])) as client:
        stage = Stage(folder, described, client, checks)
        for part in (_greetings, _strangers, _kill_and_restart, _reload, _audit):
            try:
                await part(stage)
            except McError as failed:
                checks.add(part.__name__.strip("_").replace("_", " "), False, str(failed))


async def _greetings(stage: Stage) -> None:
    show.note("Every node has authenticated every other one, and measures the way to it:")
    context = stage.described["context"]
    set_ms = {(link["from"], link["to"]): link["delay_ms"] for link in stage.described["links"]}
    wanted_ms = {(a, b): ms + set_ms[b, a] for (a, b), ms in set_ms.items()}
    found_ms: dict[Pair, float] = {}
    begun_s = time.monotonic()
    # A node keeps the least of its last few measurements, so a busy start is soon forgotten.
    while not found_ms or (_off(wanted_ms, found_ms) and time.monotonic() - begun_s < SEEN_S_MAX):
        if found_ms:
            await asyncio.sleep(GREETING_S)
        views = await meet.all_met(context, stage.described, _quiet, _all_measured)
        found_ms = {(a, n.facts.name): n.rtt_ms for a, known in views.items() for n in known}
    rows = [[*pair, f"{ms:.1f}", f"{found_ms[pair]:.1f}"] for pair, ms in wanted_ms.items()]
    show.note(Table(("FROM", "TO", ">SET MS", ">MEASURED MS"), rows))
    off = _off(wanted_ms, found_ms)
    pairs = len(stage.names) * (len(stage.names) - 1)
    stage.checks.add("mTLS", len(rows) == pairs, f"{len(rows)} of {pairs} ways, pinned both ends")
    said = "; ".join(off) or f"round trips of all {len(rows)} ways are as set"
    stage.checks.add("delays", not off, said)


def _off(wanted_ms: Mapping[Pair, float], found_ms: Mapping[Pair, float]) -> list[str]:
    """The ways that take longer, or less, than what is set allows."""
    return [
        f"{a} to {b}: {found_ms[a, b]:.1f} ms, set {ms:.1f} ms"
        for (a, b), ms in wanted_ms.items()
        if not -1 <= found_ms[a, b] - ms <= RTT_SLACK_MS + RTT_SLACK_SHARE * ms
    ]


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


async def _kill_and_restart(stage: Stage) -> None:
    victim, others = stage.names[2], [n for i, n in enumerate(stage.names) if i != 2]
    show.note(f"{victim} loses its power, and gets it back:")
    await ask.ask(stage.folder, {"do": "kill", "node": victim}, show.note)
    took_s = await _until_seen(stage, others, victim, alive=False)
    stage.checks.add("kill", True, f"all others know after {took_s:.1f} s", took_s)
    await ask.ask(stage.folder, {"do": "start", "node": victim}, show.note)
    took_s = await _until_seen(stage, others, victim, alive=True)
    stage.checks.add("restart", True, f"all others greet it again after {took_s:.1f} s", took_s)


async def _until_seen(stage: Stage, others: list[str], victim: str, *, alive: bool) -> float:
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(SEEN_S_MAX):
            while True:
                views = await meet.views(stage.client, others)
                if all(_sees(known, victim) is alive for known in views.values()):
                    return time.monotonic() - begun_s
                await asyncio.sleep(POLL_S)
    except TimeoutError as late:
        what = "alive" if alive else "gone"
        said = f"{victim} is not seen as {what} by all others after {SEEN_S_MAX:g} s"
        raise McError("FAILED", said) from late


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
        code, verdicts = await _mcctl("audit", "verify", "--context", stage.described["context"])
    records = sum(verdict["records"] for verdict in verdicts)
    held = sum(bool(verdict["ok"]) for verdict in verdicts)
    ok = code == 0 and held == len(stage.names) and records > 0
    said = f"{held} of {len(stage.names)} logs are whole, {records} records"
    stage.checks.add("audit", ok, said)


async def _mcctl(*words: str) -> tuple[int, Any]:
    """A command as a user types it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcctl", *words, "-o", "json", "-q"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ask.python_path()},
    )
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out or b"[]")


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


def _screen(checks: Checks) -> list[Table | Cell]:
    held = sum(check["ok"] for check in checks.done)
    text = f"{held} of {len(checks.done)} checks held"
    return [Cell(text, "bold green" if checks.ok else "bold red")]


def _all_measured(views: meet.Views) -> bool:
    return all(
        node.rtt_ms > 0
        for here, known in views.items()
        for node in known
        if node.facts.name != here
    )


def _sees(known: list[common_pb2.Node], name: str) -> bool:
    states = [node.state for node in known if node.facts.name == name]
    return states == [common_pb2.NODE_STATE_ALIVE]


def _quiet(_text: str) -> None:
    """Notes of a step that speaks for itself."""
