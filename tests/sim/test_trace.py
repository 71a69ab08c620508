"""One seed is one life, in any process; and nothing follows from clocks that differ or step."""

import os
import subprocess
import sys
from pathlib import Path

from coordinator.brain import Brain
from tests.sim import checks, faults
from tests.sim.scene import cluster, victim
from tests.sim.world import World

ROOT = Path(__file__).resolve().parents[2]
PRINT_A_LIFE = "from tests.sim.test_trace import a_life; print(a_life(7).trace)"


def a_life(seed: int, wall_step_s: float = 0.0) -> World:
    """Much happens: loss, a kill, a cut, pauses, a restart."""
    world = cluster(Brain, seed, 10, loss=0.05)
    for host in world.hosts:
        faults.step_wall_clock(host, wall_step_s)
    host = victim(world)
    faults.kill(world, host)
    faults.pauses(world, world.hosts[:5], 20, 6, 2.5)
    world.run(10)
    faults.split(world, world.hosts[:4])
    world.run(10)
    faults.heal(world)
    faults.restart(world, host)
    world.run(10)
    return world


def test_a_seed_is_repeated_exactly_and_another_one_is_not() -> None:
    assert a_life(7).trace == a_life(7).trace
    assert a_life(7).trace != a_life(8).trace


def test_a_seed_is_the_same_life_in_a_process_with_other_hashes() -> None:
    """The order of Python's sets of strings differs between processes; nothing may follow."""
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PRINT_A_LIFE]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout.strip())
    assert traces == {a_life(7).trace}


def test_steps_of_a_day_in_wall_clocks_change_nothing() -> None:
    assert a_life(7).trace == a_life(7, wall_step_s=86400.0).trace
    assert a_life(7).trace == a_life(7, wall_step_s=-86400.0).trace


def test_monotonic_clocks_of_different_origin_and_speed_change_no_verdict() -> None:
    """Every machine's clock counts from its own start; no duration may mix two of them."""
    slowest, fastest = 0.99, 1.01
    for origin_s in (0.0, 1e7):
        world = World(3, [host.domain for host in cluster(Brain, 3, 10).hosts], Brain)
        for host in world.hosts:
            host.clock_offset_s = host.index * origin_s
            host.clock_rate = slowest if host.index % 2 else fastest
        world.boot()
        world.run(20)
        host, at_s = world.hosts[5], world.now_s
        faults.silence(world, host)
        world.run(8)
        assert checks.know_within(world, host, ["node.dead"], at_s, 5.0) == []
        assert checks.no_false_deaths(world) == []
