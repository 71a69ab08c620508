"""Lives in which members come, go, return, and clusters part and heal: views agree again."""

from dataclasses import replace

from coordinator.settings import Settings
from coordinator.types import Knowing
from tests.sim import checks, faults
from tests.sim.hosts import MakeBrain
from tests.sim.network import domains
from tests.sim.scene import (
    HEALED_S,
    KNOWN_DEAD_S,
    LEFT_S,
    SETTLE_S,
    Life,
    cluster,
    victim,
)
from tests.sim.world import World


def boots(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    world = World(seed, domains(n), make, None, loss)
    world.boot()
    world.run(1.0)
    return checks.agree_within(world, SETTLE_S)[1] + checks.no_false_deaths(world)


def split(seconds: float) -> Life:
    """A region is cut off and comes back: one view again, and no repair meanwhile."""

    def life(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
        # Copies would be made anew long before the cut ends, were it not for the freeze.
        settings = replace(Settings(), hold_s=min(20.0, seconds / 2))
        world = cluster(make, seed, n, loss, settings, regions=3)
        at_s = world.now_s
        faults.split(world, faults.region(world, world.hosts[1].domain.place))
        world.run(seconds)
        complaints = checks.never_told(world, ["node.gone"], at_s)
        faults.heal(world)
        complaints += checks.agree_within(world, HEALED_S)[1]
        healed_s = world.now_s
        world.run(30)
        return complaints + checks.never_told(world, ["node.dead", "node.gone"], healed_s)

    return life


def halves(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Two regions part from two others: both sides call the other dead, and find it again."""
    world = cluster(make, seed, n, loss, regions=4)
    there = sorted({host.domain.place for host in world.hosts})[:2]
    faults.split(world, [host for host in world.hosts if host.domain.place in there])
    world.run(60)
    faults.heal(world)
    return checks.agree_within(world, HEALED_S)[1] + checks.gone_while_frozen(world)


def cut_off(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """One node is cut off: the rest calls it dead, it calls nobody dead, and it comes back."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    faults.split(world, [host])
    world.run(30)
    complaints = checks.know_within(world, host, ["node.dead"], at_s, KNOWN_DEAD_S)
    complaints = [c for c in complaints if not c.startswith(f"{host.name} ")]
    faults.heal(world)
    return complaints + checks.agree_within(world, HEALED_S)[1]


def quick_restart(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Up again within a second: nobody ever calls it dead, and its new life is known."""
    world = cluster(make, seed, n, loss)
    at_s = world.now_s
    faults.quick_restart(world, victim(world), world.rng.uniform(0.2, 0.9))
    world.run(5)
    complaints = checks.agree_within(world, HEALED_S)[1]
    world.run(20)
    return complaints + checks.never_told(world, ["node.dead", "node.left"], at_s)


def rolling_restart(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    world = cluster(make, seed, n, loss)
    at_s = world.now_s
    world.run(faults.rolling_restart(world, 3.0, 0.7) - world.now_s + 2)
    complaints = checks.agree_within(world, HEALED_S)[1]
    return complaints + checks.never_told(world, ["node.dead", "node.gone"], at_s)


def leaves(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A planned stop is no death: everyone knows at once, and it may come back."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    faults.leave(world, host)
    world.run(10)
    complaints = checks.know_within(
        world, host, ["node.left"], at_s, LEFT_S if loss <= 0.01 else KNOWN_DEAD_S
    )
    complaints += checks.never_told(world, ["node.dead"], at_s)
    faults.restart(world, host)
    return complaints + checks.agree_within(world, HEALED_S)[1]


def comes_back(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Dead for half a minute, then alive again in a new life; nobody thinks of the old one."""
    world = cluster(make, seed, n, loss)
    host = victim(world)
    faults.silence(world, host)
    world.run(30)
    faults.restart(world, host)
    complaints = checks.agree_within(world, HEALED_S)[1]
    back_s = world.now_s
    world.run(30)
    return complaints + checks.never_told(world, ["node.dead", "node.down"], back_s)


def loses_state(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Its disk is gone: it adopts a generation above what its peers remember."""
    world = cluster(make, seed, n, loss)
    host = victim(world)
    for _ in range(2):
        faults.restart(world, host)
        world.run(10)
    remembered = host.generation
    faults.kill(world, host)
    world.run(10)
    faults.restart(world, host, lost_state=True)
    complaints = checks.agree_within(world, HEALED_S)[1]
    if host.generation <= remembered:
        complaints.append(f"{host.name} lives as {host.generation}, {remembered} was remembered")
    return complaints


def removed(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Removed is for ever, whatever generation comes back."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    faults.kill(world, host)
    world.run(2)
    faults.remove(world, world.running[0], host)
    world.run(10)
    complaints = checks.know_within(world, host, ["node.removed"], at_s, 10)
    back_s = world.now_s
    faults.restart(world, host)
    world.run(30)
    complaints += [
        f"{other.name} sees the removed {host.name} as {seen.name}"
        for other in world.running
        if other is not host
        and (seen := checks.shown(world, other)[host.id][1]) is not Knowing.REMOVED
    ]
    others = [t for t in world.told if t.subject == host.id and t.what == "node.alive"]
    return complaints + [
        f"{t.observer.name} welcomed {host.name}" for t in others if t.at_s > back_s
    ]


def stays_dead(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """The dead stay known as dead; what others still say of their life is old."""
    world = cluster(make, seed, n, loss)
    host = victim(world)
    other = next(h for h in reversed(world.running) if h is not host)
    faults.split(world, [other])  # It does not learn of the death, and brings back old news.
    world.run(1)
    faults.silence(world, host)
    world.run(60)
    faults.heal(world)
    at_s = world.now_s
    world.run(40)
    complaints = checks.agree_within(world, HEALED_S)[1]
    return complaints + [
        f"{t.observer.name} thought that the dead {host.name} lives"
        for t in world.told
        if t.subject == host.id and t.what == "node.alive" and t.at_s > at_s
    ]


def repairs_start(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """One node dead is a loss to be repaired: gone for everyone, a minute after death."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    hold_s = world.settings.hold_s
    faults.silence(world, host)
    world.run(hold_s + 12)
    early = [t for t in world.told if t.what == "node.gone" and t.at_s < at_s + hold_s]
    return [f"{t.observer.name} began repair too early" for t in early] + checks.know_within(
        world, host, ["node.gone"], at_s, hold_s + KNOWN_DEAD_S + 5
    )


def churned(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Half of the nodes go and come back within an hour's worth; the rest is left in peace."""
    world = cluster(make, seed, n, loss)
    end_s = faults.churn(world, 120, 15 * 0.5, 20)
    world.run(end_s - world.now_s + 10)
    return checks.no_false_deaths(world) + checks.agree_within(world, 2 * HEALED_S)[1]


def joins(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A third more nodes arrive at once."""
    world = cluster(make, seed, n, loss)
    for domain in domains(n + max(1, n // 3))[n:]:
        faults.join(world, world.add(domain))
    return checks.agree_within(world, HEALED_S)[1] + checks.no_false_deaths(world)
