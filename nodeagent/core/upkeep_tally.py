"""Who has a copy of each chunk that is here, counted: how many copies there are, what is short of
its policy, what is ours to see to. All holders rank alike, so each chunk is counted by one of them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b

from coordinator.places import is_bucket, node_of, place
from coordinator.policy import Policy, Site, unmet
from coordinator.types import NodeId
from nodeagent.core.upkeep_surplus import by_rank

Holder = tuple[NodeId, str]  # A node, and the volume that the copy is bound to.


class Presence(IntEnum):
    HERE = 1
    DOUBTED = 2  # Not heard, or its process is gone: in a moment it is back, or dead.
    AWAITED = 3  # Dead or stopped, and it may come back with all its copies.
    GONE = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """What one member's copies count for now."""

    site: Site
    presence: Presence
    draining: bool = False
    generation: int = 0
    volumes: frozenset[str] | None = None  # Those that keep what they have; None: not told yet.
    dropped: int = 0  # How many live chunks it has lost since it began, or given up.

    def counts(self, volume: str) -> bool:
        return self.volumes is None or volume in self.volumes


Standings = Mapping[NodeId, Standing]


@dataclass(eq=False, slots=True)
class Group:
    """Chunks that have the same holders, best rank first."""

    policy: Policy
    holders: tuple[Holder, ...]
    chunks: int = 0
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """Of the chunks that this node counts; `leaving` is of all that are here."""

    by_copies: Mapping[int, int] = field(default_factory=dict)
    debt_chunks: int = 0
    debt_bytes: int = 0
    debt_oldest_s: float = 0.0
    leaving_chunks: int = 0  # Without us they would be short.
    leaving_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Lacking:
    """A chunk that is ours to bring to further nodes, and the copies that stay."""

    chunk_id: bytes
    policy: Policy
    stay: tuple[Site, ...]
    copies: int


@dataclass(slots=True)
class Tally:
    own: NodeId
    buckets: frozenset[str] = frozenset()  # Of the own volumes those in buckets.
    _known: dict[bytes, tuple[Group, int]] = field(default_factory=dict)
    _groups: dict[tuple[Policy, tuple[Holder, ...]], Group] = field(default_factory=dict)
    _since_s: dict[Group, float] = field(default_factory=dict)

    # -- What is known

    def __contains__(self, chunk_id: bytes) -> bool:
        return chunk_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def ids(self) -> Collection[bytes]:
        return self._known.keys()

    def holders(self, chunk_id: bytes) -> tuple[Holder, ...]:
        known = self._known.get(chunk_id)
        return known[0].holders if known else ()

    def put(
        self, chunk_id: bytes, file_bytes: int, policy: Policy, holders: Iterable[Holder]
    ) -> None:
        self.drop(chunk_id)
        ranked = tuple(by_rank(chunk_id, set(holders)))
        group = self._groups.get((policy, ranked))
        if group is None:
            group = self._groups[policy, ranked] = Group(policy, ranked)
        group.chunks += 1
        group.file_bytes += file_bytes
        self._known[chunk_id] = group, file_bytes

    def drop(self, chunk_id: bytes) -> None:
        group, file_bytes = self._known.pop(chunk_id, (None, 0))
        if group is None:
            return
        group.chunks -= 1
        group.file_bytes -= file_bytes
        if not group.chunks:
            del self._groups[group.policy, group.holders]
            self._since_s.pop(group, None)

    def here(
        self, chunk_id: bytes, file_bytes: int, policy: Policy, volumes: Collection[str]
    ) -> None:
        """What lies on the own volumes."""
        group, known_bytes = self._known.get(chunk_id, (None, 0))
        known = group.holders if group else ()
        mine = {
            (place(self.own, volume) if volume in self.buckets else self.own, volume)
            for volume in volumes
        }
        found = mine | {holder for holder in known if node_of(holder[0]) != self.own}
        old = group.policy if group else None
        if (found, policy, file_bytes) != (set(known), old, known_bytes):
            self.put(chunk_id, file_bytes, policy, found)

    def answered(self, node: NodeId, chunk_id: bytes, volume: str | None) -> None:
        """What a member said of its copy; None: it has none."""
        group, file_bytes = self._known[chunk_id]
        others = {holder for holder in group.holders if holder[0] != node}
        found = others if volume is None else others | {(node, volume)}
        if found != set(group.holders):
            self.put(chunk_id, file_bytes, group.policy, found)

    # -- What follows

    def counted(self, standings: Standings, now_s: float) -> Counted:
        by_copies: dict[int, int] = {}
        debt_chunks = debt_bytes = leaving_chunks = leaving_bytes = 0
        oldest_s = now_s
        for group in self._groups.values():
            here = _here(group, standings)
            stay = _staying(here, self.own)
            if unmet(group.policy, [one.site for one in stay], {}):
                leaving_chunks += group.chunks
                leaving_bytes += group.file_bytes
            if not here or node_of(_first(here).site.node) != self.own:
                self._since_s.pop(group, None)
                continue
            copies = len(here)
            by_copies[copies] = by_copies.get(copies, 0) + group.chunks
            if not unmet(group.policy, [one.site for one in here], {}):
                self._since_s.pop(group, None)
                continue
            debt_chunks += group.chunks
            debt_bytes += group.file_bytes
            oldest_s = min(oldest_s, self._since_s.setdefault(group, now_s))
        return Counted(
            by_copies,
            debt_chunks,
            debt_bytes,
            now_s - oldest_s,
            leaving_chunks,
            leaving_bytes,
        )

    def lacking(self, standings: Standings) -> list[Lacking]:
        """Those that are ours to see to now, the fewest copies first. Who may come back is waited
        for, but not while one copy is all there is.
        """
        due: dict[Group, tuple[tuple[Site, ...], int]] = {}
        for group in self._groups.values():
            here = _here(group, standings)
            if not here or node_of(_first(here).site.node) != self.own:
                continue
            stay = tuple(one.site for one in here if not one.draining)
            if unmet(group.policy, stay, {}) and not _waits(group, standings, len(here)):
                due[group] = stay, len(here)
        if not due:
            return []
        found = [
            Lacking(chunk_id, group.policy, *due[group])
            for chunk_id, (group, _) in self._known.items()
            if group in due
        ]
        return sorted(found, key=lambda one: (one.copies, one.chunk_id))

    def uneven(self, standings: Standings) -> Iterator[tuple[bytes, bool]]:
        """Chunks whose copies are fewer or more than asked for, and whether they are fewer: what
        others do about them is worth asking for.
        """
        kinds: dict[Group, bool] = {}
        for group in self._groups.values():
            stay = [one for one in _here(group, standings) if not one.draining]
            if unmet(group.policy, [one.site for one in stay], {}):
                kinds[group] = True
            elif sum(not one.site.bucket for one in stay) > group.policy.replicas:
                kinds[group] = False
        if kinds:
            yield from (
                (chunk_id, kinds[group])
                for chunk_id, (group, _) in self._known.items()
                if group in kinds
            )


def basis_of(here: Iterable[NodeId]) -> int:
    """The members that are here, as one number: counts of the same basis may be added up."""
    nodes = sorted(node for node in here if not is_bucket(node))
    digest = blake2b("\0".join(nodes).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def _here(group: Group, standings: Standings) -> list[Standing]:
    """Members with a good copy that are here, by rank, each once."""
    found: dict[NodeId, Standing] = {}
    for node, volume in group.holders:
        standing = standings.get(node)
        if standing and standing.presence is Presence.HERE and standing.counts(volume):
            found[node] = standing
    return list(found.values())


def _staying(here: Sequence[Standing], own: NodeId) -> list[Standing]:
    return [one for one in here if one.site.node != own and not one.draining]


def _first(here: Sequence[Standing]) -> Standing:
    """Who counts the chunk and sees to it: the best-ranked that stays, where one does."""
    return next((one for one in here if not one.draining), here[0])


def _waits(group: Group, standings: Standings, copies: int) -> bool:
    away = {standings[node].presence for node, _ in group.holders if node in standings}
    return Presence.DOUBTED in away or (Presence.AWAITED in away and copies > 1)
