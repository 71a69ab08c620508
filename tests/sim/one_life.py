"""A life in which everything may happen, chosen by its seed alone: `make sim SEED=…`."""

from random import Random

from coordinator.brain import Brain
from tests.sim import faults
from tests.sim.scene import cluster, victim
from tests.sim.world import World

STROKES = 6


def one_life(seed: int) -> World:
    """Nodes die, return, part and pause, again and again; then there is peace."""
    chance = Random(seed)
    nodes, loss = chance.randint(3, 20), chance.choice((0.0, 0.0, 0.01, 0.05))
    world = cluster(Brain, seed, nodes, loss)
    for _ in range(STROKES):
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
