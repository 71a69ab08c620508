"""Measures the brain in many lives and writes what it found into `docs/benchmarks.md`.

Virtual time: figures are the same on every machine, only the processor time is not.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from coordinator.brain import Brain
from coordinator.settings import Settings
from tests.bench import tables
from tests.sim import checks, faults
from tests.sim.bugs import BUGS
from tests.sim.lives import LIVES
from tests.sim.network import domains
from tests.sim.planted import search
from tests.sim.scene import cluster, victim
from tests.sim.world import World

MARKER = "sim"
APART_S = 30.0  # Between two deaths in one cluster, so that one does not help the other.
TRAFFIC_S = 20.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run. Deaths: nodes to how many of each kind. Hours: (nodes, loss, node-hours)."""

    deaths: tuple[tuple[int, int], ...]
    hours: tuple[tuple[int, float, float], ...]
    traffic: tuple[int, ...]
    heals: tuple[tuple[int, int], ...]  # Nodes and lives.
    seeds: int  # Of each life at ten nodes.


SHORT = Effort(((10, 20), (100, 5)), ((10, 0.05, 2.0), (10, 0.15, 2.0)), (10, 100), ((10, 3),), 2)
FULL = Effort(
    ((10, 200), (100, 60), (1000, 8)),
    ((5, 0.05, 500.0), (5, 0.15, 500.0), (10, 0.05, 40.0), (10, 0.15, 40.0), (100, 0.05, 10.0)),
    (10, 100, 1000),
    ((10, 20), (100, 3)),
    20,
)

Rows = list[Sequence[str]]


def report(effort: Effort, seed: int) -> str:
    """All tables, in Markdown."""
    start_s = time.process_time()
    parts = [
        ("How long until all others know", deaths(effort, seed)),
        ("False deaths", false_deaths(effort, seed)),
        ("After a region was cut off for a minute: until all views are equal", heals(effort, seed)),
        ("What one node sends", traffic(effort, seed)),
        ("Lives", lives(effort)),
        ("Planted bugs", planted()),
    ]
    text = "\n\n".join(f"### {title}\n\n{table}" for title, table in parts)
    return (
        f"`python -m tests.sim report{'' if effort is SHORT else ' --full'} --seed {seed}`, "
        f"{time.process_time() - start_s:.0f} s of processor time.\n\n{text}"
    )


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
        met = "yes" if found.bytes_most <= 12_000 and found.streams_most <= 16 * 2 else "**no**"
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


def lives(effort: Effort) -> str:
    """How many seeds of each life hold at ten nodes, by loss."""
    losses = (0.0, 0.05, 0.15)
    rows: Rows = []
    for name, life in LIVES.items():
        if name == "split_10_min" and effort.seeds < 10:
            continue
        cells = []
        for loss in losses:
            seeds = range(effort.seeds)
            good = sum(not life(Brain, seed, 10, loss) for seed in seeds)
            cells.append(f"{good} of {len(seeds)}")
        rows.append([name.replace("_", " "), *cells])
    return tables.table(("life, ten nodes", *(f"{loss:.0%} loss" for loss in losses)), rows)


def planted() -> str:
    rows: Rows = []
    for bug in BUGS:
        found = search(bug)
        if found is None:
            rows.append([bug.name, "**not found**", "", ""])
        else:
            where = f"{found.life.replace('_', ' ')}, {found.nodes} nodes, {found.loss:.0%} loss"
            rows.append([bug.name, where, str(found.seed), found.complaint])
    return tables.table(("bug", "found by", "seed", "complaint"), rows)


def one_life(seed: int) -> World:
    """A life in which everything happens, for `make sim SEED=…`: chosen by its seed alone."""
    chance = World(seed, domains(1), Brain).rng
    nodes, loss = chance.randint(3, 20), chance.choice((0.0, 0.0, 0.01, 0.05))
    world = cluster(Brain, seed, nodes, loss)
    for _ in range(6):
        host = victim(world)
        chance.choice((faults.kill, faults.silence, faults.leave))(world, host)
        world.run(chance.uniform(5, 20))
        faults.restart(world, host, lost_state=chance.random() < 0.2)
        if chance.random() < 0.3:
            faults.pauses(world, world.running, 20, 4, 2.5)
        if chance.random() < 0.3:
            faults.split(world, chance.sample(world.hosts, max(1, nodes // 4)))
            world.run(chance.uniform(2, 40))
            faults.heal(world)
        world.run(20)
    return world
