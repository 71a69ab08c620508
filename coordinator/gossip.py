"""How knowledge travels: news floods, and what a flood missed is found by comparing digests."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from coordinator.members import Members
from coordinator.messages import DigestEntry, Sync
from coordinator.types import Facts, NodeId, Record

EVERYBODY = "\uffff"  # Sorts behind every id.


@dataclass(slots=True)
class Rumours:
    """News that is still to be told, and when."""

    again_s: float
    fresh: dict[NodeId, Record] = field(default_factory=dict)
    facts: dict[NodeId, Facts] = field(default_factory=dict)
    _second: list[tuple[float, tuple[Record, ...]]] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.fresh[record.node] = record

    def add_facts(self, facts: Facts) -> None:
        self.facts[facts.node] = facts

    def due(self, now_s: float) -> tuple[tuple[Record, ...], tuple[Facts, ...]]:
        """What is to be told now: the new at once, and each record once more a little later."""
        fresh = tuple(self.fresh.values())
        facts = tuple(self.facts.values())
        again = [records for at_s, records in self._second if at_s <= now_s]
        self._second = [entry for entry in self._second if entry[0] > now_s]
        if fresh:
            self._second.append((now_s + self.again_s, fresh))
        self.fresh, self.facts = {}, {}
        newest = {r.node: r for records in (*again, fresh) for r in records}
        return tuple(newest.values()), facts

    def due_s(self) -> float:
        if self.fresh or self.facts:
            return float("-inf")
        return min((at_s for at_s, _ in self._second), default=float("inf"))


def entry_of(members: Members, node: NodeId) -> DigestEntry:
    record, facts = members.records[node], members.facts.get(node)
    known = facts.version if facts and facts.generation == record.generation else 0
    return DigestEntry(record, known)


def digest_from(members: Members, first: NodeId, most: int) -> Sync:
    """The opening of an exchange: what is known of the nodes from `first` on."""
    ids = sorted(members.records)
    ahead = [node for node in ids if node >= first]
    window = ahead[:most]
    last = EVERYBODY if len(ahead) <= most else window[-1]
    return Sync(tuple(entry_of(members, node) for node in window), first=first, last=last)


def answer_to(members: Members, asked: Sync, most: int) -> Sync:
    """What the asker lacks, and what is lacking here. Merge its digest first."""
    told = {entry.record.node: entry for entry in asked.digest}
    newer: list[DigestEntry] = []
    facts: list[Facts] = []
    wanted: list[NodeId] = []
    for node, entry in told.items():
        mine = entry_of(members, node)
        if mine.record.newer(entry.record):
            newer.append(mine)
        _compare_facts(members, mine, entry, facts, wanted)
    unknown = [
        n for n in sorted(members.records) if n not in told and asked.first <= n <= asked.last
    ]
    last = asked.last
    if len(unknown) > most:
        unknown = unknown[:most]
        last = unknown[-1]
    newer += [entry_of(members, node) for node in unknown]
    facts += [members.facts[node] for node in unknown if node in members.facts]
    return Sync(
        tuple(newer),
        facts=tuple(islice(facts, most)),
        wanted=tuple(wanted),
        answer=True,
        first=asked.first,
        last=last,
    )


def _compare_facts(
    members: Members,
    mine: DigestEntry,
    theirs: DigestEntry,
    facts: list[Facts],
    wanted: list[NodeId],
) -> None:
    node = mine.record.node
    mine_age = (mine.record.generation, mine.facts_version)
    their_age = (theirs.record.generation, theirs.facts_version)
    if mine.facts_version and mine_age > their_age:
        facts.append(members.facts[node])
    elif theirs.facts_version and their_age > mine_age:
        wanted.append(node)


def facts_of(members: Members, nodes: Iterable[NodeId], most: int) -> tuple[Facts, ...]:
    return tuple(islice((members.facts[n] for n in nodes if n in members.facts), most))
