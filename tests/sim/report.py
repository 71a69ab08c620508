"""Measures the brain in many lives: the tables of `docs/benchmarks.md`, part by part.

Virtual time: figures are the same on every machine, only the processor time is not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from coordinator.brain import Brain
from coordinator.settings import Settings
from tests.bench import tables
from tests.sim import checks, faults
from tests.sim.bugs import BUGS
from tests.sim.lives import LIVES
from tests.sim.planted import search
from tests.sim.scene import cluster, victim

APART_S = 30.0  # Between two deaths in one cluster, so that one does not help the other.
TRAFFIC_S = 20.0
BYTES_S_GOAL = 12_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run. Deaths: nodes to how many of each kind. Hours: (nodes, loss, node-hours)."""

    deaths: tuple[tuple[int, int], ...]
    hours: tuple[tuple[int, float, float], ...]
    traffic: tuple[int, ...]
    heals: tuple[tuple[int, int], ...]  # Nodes and lives.
    seeds: int  # Of each life at ten nodes.


SHORT = Effort(
    ((10, 30), (100, 10)),
    ((5, 0.05, 25.0), (5, 0.15, 25.0), (10, 0.05, 4.0), (10, 0.15, 4.0)),
    (10, 100, 1000),
    ((10, 5), (100, 1)),
    2,
)
FULL = Effort(
    ((10, 100), (100, 30), (1000, 5)),
    ((5, 0.05, 500.0), (5, 0.15, 500.0), (10, 0.05, 20.0), (10, 0.15, 20.0), (100, 0.05, 5.0)),
    (10, 100, 1000),
    ((10, 20), (100, 2)),
    8,
)

Rows = list[Sequence[str]]


def report(part: str, effort: Effort, seed: int) -> str:
    """The table of one part, in Markdown, with the command that made it."""
    start_s = time.process_time()
    table = PARTS[part](effort, seed)
    command = (
        f"python -m tests.sim report {part}{' --full' if effort is FULL else ''} --seed {seed}"
    )
    return f"`{command}`, {time.process_time() - start_s:.0f} s of processor time.\n\n{table}"


def deaths(effort: Effort, seed: int) -> str:
    rows: Rows = []
    for nodes, count in effort.deaths:
        for kind, fault, whats, goal_s in (
            ("process killed: down", faults.kill, ["node.down", "node.dead"], 1.0),
            ("process killed: dead", faults.kill, ["node.dead"], 5.0),
            ("machine silent: dead", faults.silence, ["node.dead"], 5.0),
        ):
            found: list[float] = []
            while len(found) < count:
                world = cluster(Brain, seed + len(found), nodes)
                # A tenth of a cluster at most: each death is one of a healthy cluster.
                for _ in range(min(count - len(found), max(1, nodes // 10))):
                    host, at_s = victim(world), world.now_s
                    fault(world, host)
                    world.run(APART_S if nodes < 1000 else 8.0)
                    learned = checks.learned_s(world, host, whats, at_s)
                    known = len(learned) == len(world.running)
                    found.append(max(learned.values()) if known else inf)
            p50, p99 = (checks.quantile(found, share) for share in (0.5, 0.99))
            cells = [f"{value:.2f} s" for value in (p50, p99, max(found))]
            met = "yes" if p99 <= goal_s else "**no**"
            rows.append([str(nodes), kind, str(count), *cells, f"{goal_s:.0f} s", met])
    columns = ("nodes", "what", "deaths", "p50", "p99", "most", "goal (p99)", "met")
    return tables.table(columns, rows)


def false_deaths(effort: Effort, seed: int) -> str:
    rows: Rows = []
    for nodes, loss, hours in effort.hours:
        world = cluster(Brain, seed, nodes, loss)
        start_s, end_s = world.now_s, world.now_s + hours * 3600 / nodes
        suspicions = count = 0
        while world.now_s < end_s:
            world.run(min(60.0, end_s - world.now_s))
            suspicions += sum(told.what == "node.suspect" for told in world.told)
            count += checks.incidents(checks.false_deaths(world, start_s))
            world.told.clear()
        bound = f"< {checks.RULE_OF_THREE / hours:.4f}" if not count else f"{count / hours:.4f}"
        rows.append([str(nodes), f"{loss:.0%}", f"{hours:g}", str(suspicions), str(count), bound])
    columns = ("nodes", "loss", "node-hours", "suspicions", "false deaths", "per node-hour (95 %)")
    return tables.table(columns, rows)


def heals(effort: Effort, seed: int) -> str:
    rows: Rows = []
    for nodes, count in effort.heals:
        found = []
        for number in range(count):
            world = cluster(Brain, seed + number, nodes, 0.0, Settings(), 3)
            faults.split(world, faults.region(world, world.hosts[1].domain.place))
            world.run(60)
            faults.heal(world)
            found.append(checks.agree_within(world, 60.0)[0])
        met = "yes" if max(found) <= 15 else "**no**"
        cells = [f"{checks.quantile(found, 0.5):.1f} s", f"{max(found):.1f} s", "15 s", met]
        rows.append([str(nodes), str(count), *cells])
    return tables.table(("nodes", "lives", "p50", "most", "goal (most)", "met"), rows)


def traffic(effort: Effort, seed: int) -> str:
    rows: Rows = []
    for nodes in effort.traffic:
        world = cluster(Brain, seed, nodes)
        world.run(5)
        meter = checks.Meter(world)
        start_s = time.process_time()
        world.run(TRAFFIC_S)
        cpu_us = (time.process_time() - start_s) / TRAFFIC_S / nodes * 1e6
        found = meter.read()
        met = "yes" if found.bytes_most <= BYTES_S_GOAL else "**no**"
        rows.append(
            [
                str(nodes),
                f"{found.messages_mean:.0f}",
                f"{found.bytes_mean / 1000:.1f} KB",
                f"{found.bytes_most / 1000:.1f} KB",
                f"{found.calls_mean:.2f}",
                str(found.streams_most),
                f"{cpu_us / 1e4:.2f} %",
                met,
            ]
        )
    columns = (
        "nodes",
        "messages a second",
        "bytes a second",
        "the busiest node",
        "calls a second",
        "streams, most",
        "brain and simulator, of a core",
        "goal: 12 KB",
    )
    return tables.table(columns, rows)


def lives(effort: Effort, _: int) -> str:
    """How many seeds of each life hold at ten nodes, by loss."""
    losses = (0.0, 0.05, 0.15)
    rows: Rows = []
    for name, life in LIVES.items():
        if name == "two_alone":
            continue  # Of two nodes, whatever is asked for.
        cells = []
        for loss in losses:
            seeds = range(effort.seeds)
            good = sum(not life(Brain, seed, 10, loss) for seed in seeds)
            cells.append(f"{good} of {len(seeds)}")
        rows.append([name.replace("_", " "), *cells])
    return tables.table(("life, ten nodes", *(f"{loss:.0%} loss" for loss in losses)), rows)


def planted(_: Effort, __: int) -> str:
    rows: Rows = []
    for bug in BUGS:
        found = search(bug)
        if found is None:
            rows.append([bug.name, "**not found**", "", ""])
        else:
            where = f"{found.life.replace('_', ' ')}, {found.nodes} nodes, {found.loss:.0%} loss"
            rows.append([bug.name, where, str(found.seed), found.complaint])
    return tables.table(("bug", "found by", "seed", "complaint"), rows)


PARTS: Mapping[str, Callable[[Effort, int], str]] = {
    "detection": deaths,
    "false-deaths": false_deaths,
    "heals": heals,
    "traffic": traffic,
    "lives": lives,
    "planted": planted,
}
