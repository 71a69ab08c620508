"""Who of all nodes can read a bucket or a web server, and which of them are to: each is asked what
it found out itself, and asked again while a job goes on.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from coordinator.types import Domain, NodeId
from multicloud.errors import REASONS, McError
from multicloud.v1 import source_pb2
from nodeagent.jobs.contract import Reach
from nodeagent.jobs.sources.direct import DirectSources
from nodeagent.jobs.sources.nearest import Distances, costs, domain_of
from nodeagent.jobs.sources.remote import RemoteSource
from nodeagent.jobs.sources.world import World
from nodeagent.wire.ground import Links

AGAIN_S = 5.0
KEPT_MAX = 256
Said = source_pb2.FindSourceResponse


@dataclass(slots=True)
class _Known:
    """Of one source, as it was found out last."""

    said: Mapping[NodeId, Said] = field(default_factory=dict)
    costs: Mapping[NodeId, float] = field(default_factory=dict)
    place: Domain | None = None
    asked_s: float = float("-inf")
    asking: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Readers:
    world: World
    links: Links
    direct: DirectSources
    distances: Distances
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict)

    async def ask(self, uri: str) -> None:
        """Until all have answered, or it is known that they do not."""
        await asyncio.shield(self._asking(uri))

    async def able(self, uri: str) -> list[NodeId]:
        """Whoever can, by what is known: this node first, then those that read it for least."""
        if self._is_old(uri):
            await self.ask(uri)
        found = self._of(uri).costs
        return sorted(found, key=lambda node: (node != self.world.own, found[node], node))

    def cost(self, uri: str, node: NodeId) -> float:
        """Infinite for whoever is not to read it, and while nothing is known."""
        if self._is_old(uri):
            self._asking(uri)
        return self._of(uri).costs.get(node, inf)

    def reach(self, uri: str) -> Reach:
        known = self._of(uri)
        unable = {n: _error(said) for n, said in known.said.items() if not said.here}
        return Reach(unable, known.place)

    def nobody(self, uri: str) -> McError:
        """Why no node can read it: one reason where all have the same."""
        unable = self.reach(uri).unable
        by_words: dict[str, list[str]] = defaultdict(list)
        for node, error in unable.items():
            by_words[error.message].append(self.world.name_of(node))
        said = "; ".join(f"{', '.join(sorted(of))}: {why}" for why, of in by_words.items())
        reasons = {error.reason for error in unable.values()}
        reason = reasons.pop() if len(reasons) == 1 else "SOURCE_AWAY"
        return McError(
            reason,
            f"no node can read {uri}: {said or 'none answers'}",
            next="grant one of them what is missing; `mcctl check` tries it out",
        )

    def forget(self) -> None:
        """Every answer is asked for anew."""
        for known in self._known.values():
            if known.asking is not None:
                known.asking.cancel()
        self._known.clear()

    def _is_old(self, uri: str) -> bool:
        return asyncio.get_running_loop().time() - self._of(uri).asked_s >= AGAIN_S

    def _of(self, uri: str) -> _Known:
        found = self._known.setdefault(uri, _Known())
        self._known.move_to_end(uri)
        if len(self._known) > KEPT_MAX:
            _, oldest = self._known.popitem(last=False)
            if oldest.asking is not None:
                oldest.asking.cancel()
        return found

    def _asking(self, uri: str) -> asyncio.Task[None]:
        """One at a time for each source."""
        known = self._of(uri)
        if known.asking is None or known.asking.done():
            known.asking = asyncio.get_running_loop().create_task(self._ask(uri, known))
        return known.asking

    async def _ask(self, uri: str, known: _Known) -> None:
        world = self.world
        members = {world.own, *world.view().members}
        there = [node for node in sorted(members) if world.is_there(node)]
        async with asyncio.TaskGroup() as group:
            asked = {node: group.create_task(self._said(node, uri)) for node in there}
        known.said = {node: task.result() for node, task in asked.items()}
        known.asked_s = asyncio.get_running_loop().time()
        able = {node: self._domain(node) for node, said in known.said.items() if said.here}
        places = [said.place for said in known.said.values() if said.place]
        known.place = domain_of(places[0]) if places else None
        known.costs = costs(known.place, able, self.distances)

    async def _said(self, node: NodeId, uri: str) -> Said:
        ref = source_pb2.SourceRef(source=uri)  # The same for all jobs.
        try:
            if node == self.world.own:
                return await self.direct.found(ref)
            return await RemoteSource(self.world, self.links, node, ref).find()
        except McError as error:
            return Said(reason=error.reason, message=error.message)

    def _domain(self, node: NodeId) -> Domain | None:
        member = self.world.view().members.get(node)
        return member.facts.domain if member and member.facts else None


def _error(said: Said) -> McError:
    known = said.reason if said.reason in REASONS else "FAILED"
    return McError(known, said.message or "it did not say why")
