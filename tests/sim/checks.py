"""What a life has shown: who learned what and when, what was wrong, what it cost.

Each check returns a finding to compare or a list of complaints; nothing here runs the world.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from coordinator.types import Knowing, NodeId
from tests.sim.hosts import Host
from tests.sim.world import Told, World

RULE_OF_THREE = 3.0  # 0 events in N hours: with 95 % the rate is below 3/N.
GRACE_S = 10.0  # Word of an older life may still arrive so long after a start.
GONE_STATES = (Knowing.DEAD, Knowing.LEFT, Knowing.REMOVED)


def learned_s(
    world: World, subject: Host, whats: Collection[str], since_s: float
) -> dict[int, float]:
    """Observer to the seconds from `since_s` until it first knew one of `whats`."""
    first: dict[int, float] = {}
    for told in world.told:
        if told.subject == subject.id and told.at_s >= since_s and told.what in whats:
            first.setdefault(told.observer.index, told.at_s - since_s)
    return first


def know_within(
    world: World, subject: Host, whats: Collection[str], since_s: float, most_s: float
) -> list[str]:
    """Complaints about those, of all that run, who learned it late or never."""
    first = learned_s(world, subject, whats, since_s)
    told = f"that {subject.name} is {'/'.join(sorted(whats))}"
    complaints = []
    for host in world.running:
        if host is not subject and first.get(host.index, most_s + 1) > most_s:
            when = f"{first[host.index]:.2f} s" if host.index in first else "never"
            complaints.append(f"{host.name} learned {told} after {when}, {most_s} s are allowed")
    return complaints


def false_deaths(world: World, since_s: float = 0.0) -> list[Told]:
    """Every word of death about a process that ran, was heard, and had done so for a while."""
    hosts = world.by_id
    return [
        told
        for told in world.told
        if told.what == "node.dead"
        and told.at_s >= since_s
        and _is_false(hosts[told.subject], told)
    ]


def _is_false(subject: Host, told: Told) -> bool:
    if told.at_s <= subject.excused_until_s:
        return False
    return any(start + GRACE_S < told.at_s < end for start, end in subject.spans())


def no_false_deaths(world: World, since_s: float = 0.0) -> list[str]:
    found = false_deaths(world, since_s)
    subjects = sorted({world.by_id[told.subject].name for told in found})
    return [f"{', '.join(subjects)} called dead, alive all the time"] if found else []


def incidents(told: Sequence[Told]) -> int:
    """Many observers' words about one subject in one half minute are one false death."""
    last: dict[NodeId, float] = {}
    count = 0
    for one in told:
        if one.at_s - last.get(one.subject, float("-inf")) > 30.0:
            count += 1
        last[one.subject] = one.at_s
    return count


def never_told(world: World, whats: Collection[str], since_s: float) -> list[str]:
    name = {node: host.name for node, host in world.by_id.items()}
    return [
        f"{told.at_s:.2f}: {told.observer.name} told {told.what} of {name[told.subject]}"
        for told in world.told
        if told.what in whats and told.at_s >= since_s
    ][:5]


Shown = dict[NodeId, tuple[int, Knowing]]


def shown(world: World, host: Host) -> Shown:
    """A view without what is each observer's own: silence, facts, suspicion."""
    view = world.view(host)
    return {
        node: (member.record.generation, _agreed(member.knowing))
        for node, member in view.members.items()
    }


def _agreed(knowing: Knowing) -> Knowing:
    return Knowing.ALIVE if knowing in (Knowing.SUSPECT, Knowing.UNREACHABLE) else knowing


def disagreements(world: World, hosts: Iterable[Host] | None = None) -> list[str]:
    """Where views differ from the truth: who runs is alive, who does not is not, for everyone."""
    complaints = []
    for host in hosts or world.running:
        if not host.running:
            continue
        view = shown(world, host)
        for other in world.hosts:
            generation, knowing = view.get(other.id, (0, None))
            if other.running and (generation, knowing) != (other.generation, Knowing.ALIVE):
                said = knowing.name if knowing else "unknown"
                complaints.append(
                    f"{host.name} sees {other.name} as {said} of {generation}, "
                    f"it runs as {other.generation}"
                )
            elif not other.running and knowing is Knowing.ALIVE:
                complaints.append(f"{host.name} sees {other.name} as alive, it is not")
            if len(complaints) > 5:
                return complaints
    return complaints


def agree_within(world: World, most_s: float) -> tuple[float, list[str]]:
    """Runs until all views are the truth: the seconds it took, and complaints when it did not."""
    start_s = world.now_s
    if world.run_until(lambda: not disagreements(world), most_s, 0.5):
        return world.now_s - start_s, []
    return most_s, [f"views differ {most_s} s later: {disagreements(world)[:3]}"]


def gone_while_frozen(world: World) -> list[str]:
    """Repair that began on a node that knew of correlated loss."""
    frozen: set[int] = set()
    complaints = []
    for told in world.told:
        if told.what == "cluster.frozen":
            frozen.add(told.observer.index)
        elif told.what == "cluster.thawed":
            frozen.discard(told.observer.index)
        elif told.what == "node.gone" and told.observer.index in frozen:
            complaints.append(f"{told.observer.name} began repair while frozen at {told.at_s:.1f}")
    return complaints


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one node sends, each second."""

    messages_mean: float
    bytes_mean: float
    bytes_most: float
    calls_mean: float
    streams_most: int


@dataclass(slots=True)
class Meter:
    """Counts from the moment it is made."""

    world: World

    def __post_init__(self) -> None:
        for host in self.world.hosts:
            host.messages_sent = host.bytes_sent = host.calls_made = 0
        self.since_s = self.world.now_s

    since_s: float = 0.0

    def read(self) -> Traffic:
        hosts, seconds = self.world.running, self.world.now_s - self.since_s
        share = 1 / seconds / len(hosts)
        return Traffic(
            sum(h.messages_sent for h in hosts) * share,
            sum(h.bytes_sent for h in hosts) * share,
            max(h.bytes_sent for h in hosts) / seconds,
            sum(h.calls_made for h in hosts) * share,
            max(sum(map(len, h.pipes.values())) for h in hosts),
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
