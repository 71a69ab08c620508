"""What happens to nodes and links, as verbs: kill, silence, pause, restart, split, heal, churn.

The one-shot faults act now; those with a span schedule themselves and return when they end.
"""

from collections.abc import Sequence
from functools import partial

from coordinator.events import LeaveAsked, RemovalDecided
from tests.sim.hosts import Host
from tests.sim.world import World

SEEDS = 3
GOODBYE_S = 1.0  # A leaving process stays so long, that its word is heard.


def kill(world: World, host: Host) -> None:
    """kill -9: the kernel resets streams and refuses dials from now on."""
    if host.running:
        host.ended.append((host.started_s, world.now_s))
    host.running = False
    host.inbox.clear()
    host.paused_until_s = 0.0
    world.wire.end_all(host)


def silence(world: World, host: Host) -> None:
    """Power cut, or a black hole on its path: nothing is said any more, not even no."""
    host.silent = True
    kill(world, host)


def seeds_of(world: World, host: Host) -> list[Host]:
    return [seed for seed in world.hosts[:SEEDS] if seed is not host]


def restart(world: World, host: Host, lost_state: bool = False) -> None:
    """Starts again what was killed or silenced; without its disk it knows no generation."""
    if host.running:
        kill(world, host)
    if lost_state:
        host.generation = 0
    world.start(host, seeds_of(world, host))


def quick_restart(world: World, host: Host, down_s: float) -> None:
    kill(world, host)
    world.at(world.now_s + down_s, partial(_restart_if_down, world, host))


def _restart_if_down(world: World, host: Host) -> None:
    if not host.running:
        restart(world, host)


def rolling_restart(world: World, every_s: float, down_s: float) -> float:
    """Restarts all, one after the other; says when the last one is up."""
    for turn, host in enumerate(list(world.running)):
        world.at(world.now_s + turn * every_s, partial(quick_restart, world, host, down_s))
    return world.now_s + len(world.running) * every_s + down_s


def join(world: World, host: Host) -> None:
    world.start(host, seeds_of(world, host))


def leave(world: World, host: Host) -> None:
    """A planned stop: it says so, and goes a moment later."""
    world.post(host, LeaveAsked())
    world.at(world.now_s + GOODBYE_S, partial(_gone, world, host, host.lives))


def _gone(world: World, host: Host, life: int) -> None:
    if host.running and host.lives == life:
        kill(world, host)


def remove(world: World, by: Host, host: Host) -> None:
    world.post(by, RemovalDecided(host.id))


def split(world: World, one: Sequence[Host], one_way: bool = False) -> None:
    """Nothing passes between `one` and the rest; one way: the rest does not hear `one`."""
    inside = {host.id for host in one}
    world.network.cut(inside, set(world.by_id) - inside, one_way)


def one_way(world: World, sender: Host, receiver: Host) -> None:
    world.network.cut([sender.id], [receiver.id], one_way=True)


def refuse(world: World, observer: Host, subject: Host) -> None:
    """A firewall between the two resets their stream and refuses dials, in the subject's name."""
    world.network.refusing.add((observer.id, subject.id))
    world.wire.reset(observer, subject)


def heal(world: World) -> None:
    world.network.heal()


def slow(world: World, host: Host, mean_s: float = 0.3) -> None:
    world.network.slow_s[host.id] = mean_s


def step_wall_clock(host: Host, by_s: float) -> None:
    """Moves the machine's wall clock. Brains are given none, so nothing may follow from it."""
    host.wall_step_s += by_s


def region(world: World, place: str) -> list[Host]:
    return [host for host in world.hosts if host.domain.place == place]


def pauses(
    world: World, hosts: Sequence[Host], seconds: float, per_minute: float, most_s: float
) -> float:
    """Each host stands still now and then, for up to `most_s`; says when it is over."""
    end_s = world.now_s + seconds
    for host in hosts:
        at_s = world.now_s + world.rng.expovariate(per_minute / 60)
        while at_s < end_s:
            still_s = world.rng.uniform(0.2, most_s)
            world.at(at_s, partial(world.pause, host, still_s))
            # Two pauses that follow each other closely would be one long one.
            at_s += still_s + most_s + world.rng.expovariate(per_minute / 60)
    return end_s + most_s


def churn(world: World, seconds: float, share_per_hour: float, down_s: float) -> float:
    """Nodes die in all ways, and as many come back after a while; says when the last is back."""
    end_s = world.now_s + seconds
    rate_per_s = len(world.hosts) * share_per_hour / 3600
    at_s = world.now_s + world.rng.expovariate(rate_per_s)
    while at_s < end_s:
        world.at(at_s, partial(_churn_one, world, down_s))
        at_s += world.rng.expovariate(rate_per_s)
    return end_s + down_s


def _churn_one(world: World, down_s: float) -> None:
    able = [host for host in world.hosts[SEEDS:] if host.running]
    if not able:
        return
    host = world.rng.choice(able)
    how = world.rng.choice((kill, silence, leave))
    how(world, host)
    world.at(world.now_s + down_s, partial(_restart_if_down, world, host))
