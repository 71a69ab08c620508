"""Who goes on with a job whose steward is down, and who keeps its ledger when a keeper is gone.

The live keepers take turns, the first of them at once and each other one a moment later; whoever
the council names first has it.
"""

from dataclasses import dataclass, field

import structlog

from coordinator.rendezvous import score
from coordinator.types import Domain, Knowing, NodeId
from multicloud.v1 import records_pb2
from nodeagent.jobs.header import Header, Headers
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_replacing import replace
from nodeagent.jobs.steward_run import StewardRun

_log = structlog.stdlib.get_logger(__name__)
KEEPERS = 3
GONE = frozenset({Knowing.DOWN, Knowing.DEAD, Knowing.LEFT, Knowing.REMOVED})


@dataclass(slots=True)
class Succession:
    world: JobWorld
    headers: Headers
    _away_since_s: dict[tuple[str, NodeId], float] = field(default_factory=dict)

    async def look(self, header: Header, run: StewardRun | None) -> None:
        """NO_MAJORITY while nothing can be decided; it is looked at again."""
        value = header.value
        keepers = [keeper.node for keeper in value.keepers]
        if self.world.own not in keepers:
            return
        if run is not None and run.ready:
            self._replace_keepers(run)
        elif value.steward != self.world.own:
            await self._take_over(value, keepers)
        elif header.stands:
            await self._replace_keeper_of_standing(value, keepers)

    async def _take_over(self, value: records_pb2.JobHeader, keepers: list[NodeId]) -> None:
        away_s = self._away_s(value.id, value.steward)
        live = [n for n in keepers if n != value.steward and self.world.is_there(n)]
        if away_s is None or away_s < live.index(self.world.own) * self.world.settings.turn_s:
            return
        own, epoch, steward = self.world.own, value.epoch, value.steward

        def name(now: records_pb2.JobHeader) -> bool | None:
            if now.HasField("outcome") or now.epoch != epoch or now.steward != steward:
                return False
            now.steward, now.epoch = own, epoch + 1
            return None

        decided = await self.headers.change(value.id, name)
        if decided.value.steward == own:
            self._away_since_s.pop((value.id, steward), None)
            was = self.world.name_of(steward)
            _log.warning("steward_taken_over", job=value.id, was=was, epoch=epoch + 1)

    async def _replace_keeper_of_standing(
        self, value: records_pb2.JobHeader, keepers: list[NodeId]
    ) -> None:
        """There is no ledger to be copied: all that it knows is in its header."""
        after_s = self.world.settings.replace_after_s
        lost = [n for n in keepers if (away := self._away_s(value.id, n)) and away >= after_s]
        new = self._spare(value.id, keepers) if lost else None
        if new is None:
            return
        keeper, epoch = records_pb2.Keeper(node=new, volume=self.world.volume_of(new)), value.epoch

        def named(now: records_pb2.JobHeader) -> bool | None:
            if now.HasField("outcome") or now.epoch != epoch:
                return False
            left = [one for one in now.keepers if one.node != lost[0]]
            del now.keepers[:]
            now.keepers.extend([*left, keeper])
            now.epoch = epoch + 1
            return None

        await self.headers.change(value.id, named)

    def _replace_keepers(self, run: StewardRun) -> None:
        """The new keeper has the ledger before it is named; then the next epoch begins."""
        header = run.header
        keepers = [keeper.node for keeper in header.keepers]
        lost = [node for node in keepers if self._is_lost(run, node)]
        new = self._spare(header.id, keepers) if lost else None
        if new is not None:
            keeper = records_pb2.Keeper(node=new, volume=self.world.volume_of(new))
            run.spawn("replace a keeper", replace(run, lost[0], keeper, self.headers))

    def _is_lost(self, run: StewardRun, node: NodeId) -> bool:
        if node == self.world.own:
            return False
        away_s = self._away_s(run.header.id, node)
        return run.has_lost_disk(node) or (
            away_s is not None and away_s >= self.world.settings.replace_after_s
        )

    def _spare(self, job: str, keepers: list[NodeId]) -> NodeId | None:
        live = [n for n in self.world.view().members if self.world.is_there(n)]
        found = keepers_for(job, self.world, [n for n in live if n not in keepers], 1)
        return found[0] if found else None

    def _away_s(self, job: str, node: NodeId) -> float | None:
        """For how long it has been known to be gone; None when it is not."""
        member = self.world.view().members.get(node)
        now_s = self.world.clock_s()
        if member is None or member.knowing not in GONE:
            self._away_since_s.pop((job, node), None)
            return None
        return now_s - self._away_since_s.setdefault((job, node), now_s)


def keepers_for(
    job: str, world: JobWorld, nodes: list[NodeId], count: int = KEEPERS
) -> list[NodeId]:
    """By rank for that job, in as many clouds, then places, then zones as there are."""
    ranked = sorted(nodes, key=lambda node: (-score(job, node, 1.0), node))
    chosen: list[NodeId] = []
    while ranked and len(chosen) < count:
        taken = [world.domain_of(node) for node in chosen]
        likeness = {node: _likeness(world.domain_of(node), taken) for node in ranked}
        best = min(ranked, key=likeness.__getitem__)  # Of those that are alike the first by rank.
        ranked.remove(best)
        chosen.append(best)
    return chosen


def _likeness(own: Domain | None, taken: list[Domain | None]) -> tuple[int, int, int]:
    """With how many of them it shares its cloud, its place, its zone; unknown is like all."""
    others = [domain for domain in taken if domain is not None]
    if own is None:
        return len(taken), len(taken), len(taken)
    return (
        sum(domain.cloud == own.cloud for domain in others),
        sum(domain.place == own.place for domain in others),
        sum(domain == own for domain in others),
    )
