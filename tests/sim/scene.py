"""Where lives begin: a settled cluster, its constants, and who is struck."""

from collections.abc import Callable

from coordinator.settings import Settings
from tests.sim import faults
from tests.sim.hosts import Host, MakeBrain
from tests.sim.network import domains
from tests.sim.world import World

Life = Callable[[MakeBrain, int, int, float], list[str]]

SETTLE_S = 15.0
WARM_FROM = 30  # Larger clusters begin in the middle of their life.
KNOWN_DOWN_S = 1.0
KNOWN_DEAD_S = 5.0
LEFT_S = 0.7  # A planned stop says so at once; nobody has to ask.
REGION_DEAD_S = 12.0
HEALED_S = 15.0
PAUSE_S_MAX = 2.5
LOST = ("node.dead", "node.down")


def cluster(
    make: MakeBrain,
    seed: int,
    n: int,
    loss: float = 0.0,
    settings: Settings | None = None,
    regions: int = 0,
) -> World:
    """A settled cluster: everyone knows everyone, and is watched."""
    world = World(seed, domains(n, regions), make, settings, loss)
    if n < WARM_FROM:
        world.boot()
    else:
        world.boot_warm()
    world.run(SETTLE_S)
    return world


def victim(world: World) -> Host:
    return world.rng.choice(world.running[faults.SEEDS :] or world.running[-1:])
