"""Lives in which nodes or links fail: who is called dead, when, and who is not."""

from coordinator.types import Knowing
from tests.sim import checks, faults
from tests.sim.hosts import MakeBrain
from tests.sim.scene import (
    HEALED_S,
    KNOWN_DEAD_S,
    KNOWN_DOWN_S,
    LOST,
    PAUSE_S_MAX,
    REGION_DEAD_S,
    cluster,
    victim,
)
from tests.sim.world import World


def killed(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A process dies: everyone knows it in a second, and that it is dead in five."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    faults.kill(world, host)
    world.run(8)
    down_s = KNOWN_DOWN_S if loss <= 0.01 else KNOWN_DEAD_S  # A lost refusal is repeated later.
    return [
        *checks.know_within(world, host, LOST, at_s, down_s),
        *checks.know_within(world, host, ["node.dead"], at_s, KNOWN_DEAD_S),
        *checks.no_false_deaths(world),
    ]


def silent(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A machine vanishes: everyone knows in five seconds; doubt is there long before."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    faults.silence(world, host)
    world.run(8)
    doubts = checks.learned_s(world, host, ["node.suspect"], at_s)
    complaints = [] if min(doubts.values(), default=9) < 3.0 else ["nobody doubted it in time"]
    return [
        *complaints,
        *checks.know_within(world, host, ["node.dead"], at_s, KNOWN_DEAD_S),
        *checks.no_false_deaths(world),
    ]


def paused(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Garbage, migrations, busy hosts: pauses up to 2.5 s are no deaths."""
    world = cluster(make, seed, n, loss)
    world.run(faults.pauses(world, world.hosts, 40, 4, PAUSE_S_MAX) - world.now_s + 5)
    return checks.no_false_deaths(world) + checks.agree_within(world, HEALED_S)[1]


def two_paused(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """An observer that wakes has heard nobody: it must not take its own sleep for their death."""
    world = cluster(make, seed, n, loss)
    for _ in range(8):
        half = world.rng.sample(world.hosts, max(1, n // 2))
        for host in half:
            world.pause(host, world.rng.uniform(2.0, PAUSE_S_MAX))
        world.run(8)
    return checks.no_false_deaths(world) + checks.agree_within(world, HEALED_S)[1]


def all_sleep(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """All stand still at once, as when a hypervisor stops: waking, nobody buries the others."""
    world = cluster(make, seed, n, loss)
    at_s = world.now_s
    for host in world.hosts:
        world.pause(host, world.rng.uniform(8.0, 8.5))
    world.run(25)
    return checks.never_told(world, LOST, at_s) + checks.agree_within(world, HEALED_S)[1]


def quiet(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Nothing happens but loss."""
    world = cluster(make, seed, n, loss)
    world.run(120)
    return checks.no_false_deaths(world) + checks.agree_within(world, HEALED_S)[1]


def one_way_links(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A tenth of all pairs hears in one direction only: nobody dies of that."""
    world = cluster(make, seed, n, loss)
    at_s = world.now_s
    deaf = dict.fromkeys((host.id for host in world.hosts), 0)
    for a in world.hosts:
        b = world.rng.choice([host for host in world.hosts if host is not a])
        # Few enough of each node's links that most of its observers still hear it.
        if max(deaf[a.id], deaf[b.id]) < min(n, 9) // 4:
            faults.one_way(world, a, b)
            deaf[a.id] += 1
            deaf[b.id] += 1
    world.run(60)
    complaints = checks.no_false_deaths(world) + checks.never_told(world, LOST, at_s)
    faults.heal(world)
    return complaints + checks.agree_within(world, 2 * HEALED_S)[1]


def links_in_turn(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Each observer loses its link to one node for a while, never two at once."""
    world = cluster(make, seed, n, loss)
    host, at_s = victim(world), world.now_s
    for other in world.hosts:
        if other is not host:
            world.network.cut([host.id], [other.id])
            world.run(6)
            faults.heal(world)
            world.run(3)
    return checks.never_told(world, LOST, at_s)


def one_refusal(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A firewall refuses one observer: that is no word of two, and the node is not down."""
    world = cluster(make, seed, n, loss)
    at_s, host = world.now_s, victim(world)
    observer = next(other for other in world.running if host.id in other.watches)
    faults.refuse(world, observer, host)
    world.run(20)
    return checks.never_told(world, LOST, at_s)


def slow_nodes(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A twentieth answers 300 ms late each way: it is slow, not dead."""
    world = cluster(make, seed, n, loss)
    for host in world.rng.sample(world.hosts, max(1, n // 20)):
        faults.slow(world, host)
    world.run(60)
    return checks.no_false_deaths(world) + checks.agree_within(world, HEALED_S)[1]


def fifth_dead(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """20 % die at once, without a word."""
    world = cluster(make, seed, n, loss)
    dead, at_s = world.rng.sample(world.hosts, max(1, n // 5)), world.now_s
    for host in dead:
        faults.silence(world, host)
    world.run(REGION_DEAD_S + 3)
    complaints = checks.no_false_deaths(world)
    for host in dead:
        complaints += checks.know_within(world, host, ["node.dead"], at_s, REGION_DEAD_S)
    return complaints


def region_dead(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """A region vanishes: half of its observers with it. All know in 12 s, and repair waits."""
    world = cluster(make, seed, n, loss, regions=3)
    lost, at_s = faults.region(world, world.hosts[1].domain.place), world.now_s
    for host in lost:
        faults.silence(world, host)
    world.run(90)
    complaints = checks.no_false_deaths(world) + checks.gone_while_frozen(world)
    for host in lost:
        complaints += checks.know_within(world, host, ["node.dead"], at_s, REGION_DEAD_S)
    complaints += checks.never_told(world, ["node.gone"], at_s)
    return complaints + _all_told(world, "cluster.frozen", at_s)


def one_by_one(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """They vanish until three are left and one of these goes: each is known by who remains."""
    world = cluster(make, seed, n, loss)
    complaints = []
    while len(world.running) > 2:
        host, at_s = world.rng.choice(world.running), world.now_s
        faults.silence(world, host)
        world.run(10)
        complaints += checks.know_within(world, host, ["node.dead"], at_s, KNOWN_DEAD_S)
    return complaints + checks.no_false_deaths(world)


def two_alone(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    """Of two, neither can say which is dead: unreachable, and heard again after."""
    world = cluster(make, seed, 2, loss)
    one, other = world.hosts
    faults.split(world, [one])
    world.run(30)
    complaints = checks.never_told(world, ["node.dead", "node.gone"], 0)
    for host, peer in ((one, other), (other, one)):
        seen = world.view(host).members[peer.id].knowing
        if seen is not Knowing.UNREACHABLE:
            complaints.append(f"{host.name} sees the silent {peer.name} as {seen.name}")
    faults.heal(world)
    world.run(HEALED_S)
    for host, peer in ((one, other), (other, one)):
        seen = world.view(host).members[peer.id].knowing
        if seen is not Knowing.ALIVE:
            complaints.append(f"{host.name} sees {peer.name} as {seen.name} after the heal")
    return complaints


def _all_told(world: World, what: str, since_s: float) -> list[str]:
    told = {t.observer.index for t in world.told if t.what == what and t.at_s >= since_s}
    return [f"{h.name} never told {what}" for h in world.running if h.index not in told][:5]
