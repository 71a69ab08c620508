"""When knowledge is told, and to whom: floods at once, exchanges of digests now and then."""

from random import Random

from coordinator.actions import Send
from coordinator.gossip import Rumours, digest_from, entry_of
from coordinator.members import Members
from coordinator.messages import News, Sync
from coordinator.rings import Rings
from coordinator.settings import Settings
from coordinator.types import NodeId, Status


class Spread:
    def __init__(self, members: Members, settings: Settings, rng: Random, now_s: float) -> None:
        self._members = members
        self._settings = settings
        self._rng = rng
        self.rumours = Rumours(settings.flood_again_s)
        self._sync_due_s = now_s
        self._revive_due_s = now_s + settings.revive_s
        self._turn = 0

    def due(self, neighbours: set[NodeId], rings: Rings, now_s: float) -> list[Send]:
        """What is to be told now. `neighbours` are at the other end of a stream."""
        near = [n for n in sorted(neighbours) if self._members.alive(n)]
        return [*self._exchanges(near, rings, now_s), *self._flood(near, now_s)]

    def due_s(self) -> float:
        return min(self._sync_due_s, self.rumours.due_s())

    def _exchanges(self, near: list[NodeId], rings: Rings, now_s: float) -> list[Send]:
        if now_s < self._sync_due_s:
            return []
        self._sync_due_s = now_s + self._settings.sync_s * self._rng.uniform(0.9, 1.1)
        self._turn += 1
        return [*self._revive(now_s), *self._exchange(near, rings)]

    def _exchange(self, near: list[NodeId], rings: Rings) -> list[Send]:
        choices = near
        if self._turn % self._settings.sync_anyone_every == 0:
            own = self._members.own
            choices = [n for n in rings.members() if n != own and self._members.alive(n)]
        if not choices:
            return []
        return [self.opening(self._rng.choice(choices), *self._window())]

    def _revive(self, now_s: float) -> list[Send]:
        """One of the lost is tried now and then, so that a split heals from either side."""
        if now_s < self._revive_due_s:
            return []
        self._revive_due_s = now_s + self._settings.revive_s * self._rng.uniform(0.8, 1.2)
        lost = self._members.lost_as(Status.DEAD, Status.DOWN)
        return [self.opening(self._rng.choice(lost), *self._window())] if lost else []

    def _window(self) -> tuple[NodeId, int]:
        """Where a digest begins and how much it holds: a small cluster whole, a large one in turn.

        A window may hang over either end, so that the outermost come as often as the others.
        """
        most = self._settings.sync_entries_max
        known = len(self._members.records)
        if known <= most:
            return "", most
        start = self._rng.randrange(1 - most, known)
        return ("", most + start) if start <= 0 else (sorted(self._members.records)[start], most)

    def opening(self, to: NodeId, first: NodeId = "", most: int = 0) -> Send:
        """The first half of an exchange. What both say of each other is always in it."""
        sync = digest_from(self._members, first, most or self._settings.sync_entries_max)
        both = [n for n in (self._members.own, to) if n in self._members.records]
        outside = [n for n in both if not sync.first <= n <= sync.last]
        extra = tuple(entry_of(self._members, node) for node in outside)
        return Send(to, Sync(sync.digest + extra, first=sync.first, last=sync.last))

    def _flood(self, near: list[NodeId], now_s: float) -> list[Send]:
        if self.rumours.due_s() > now_s:
            return []
        records, facts = self.rumours.due(now_s)
        if not records and not facts:
            return []
        chosen = self._rng.sample(near, min(self._settings.flood_peers, len(near)))
        return [Send(peer, News(records, facts)) for peer in chosen]
