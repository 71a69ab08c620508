"""Lives of a cluster and what each must show: the goals of the coordinator, one function each.

A life takes how to make a brain, a seed, a size and a loss, and returns complaints; none is
good. Tests run them with the production brain, and with planted bugs that they must find.
"""

from collections.abc import Callable
from dataclasses import replace

from coordinator.settings import Settings
from coordinator.types import Knowing
from tests.sim import checks, faults
from tests.sim.hosts import Host, MakeBrain
from tests.sim.network import domains
from tests.sim.world import World

Life = Callable[[MakeBrain, int, int, float], list[str]]

SETTLE_S = 15.0
WARM_FROM = 30  # Larger clusters begin in the middle of their life.
KNOWN_DOWN_S = 1.0
KNOWN_DEAD_S = 5.0
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


def boots(make: MakeBrain, seed: int, n: int, loss: float) -> list[str]:
    world = World(seed, domains(n), make, None, loss)
    world.boot()
    world.run(1.0)
    return checks.agree_within(world, SETTLE_S)[1] + checks.no_false_deaths(world)


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
    complaints = checks.know_within(world, host, ["node.left"], at_s, 2 * KNOWN_DOWN_S)
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


LIVES: dict[str, Life] = {
    "boots": boots,
    "killed": killed,
    "silent": silent,
    "paused": paused,
    "two_paused": two_paused,
    "quiet": quiet,
    "one_way_links": one_way_links,
    "slow_nodes": slow_nodes,
    "fifth_dead": fifth_dead,
    "region_dead": region_dead,
    "split_1_min": split(60),
    "split_10_min": split(600),
    "cut_off": cut_off,
    "quick_restart": quick_restart,
    "rolling_restart": rolling_restart,
    "leaves": leaves,
    "comes_back": comes_back,
    "loses_state": loses_state,
    "removed": removed,
    "stays_dead": stays_dead,
    "repairs_start": repairs_start,
    "churned": churned,
    "joins": joins,
    "two_alone": two_alone,
}
