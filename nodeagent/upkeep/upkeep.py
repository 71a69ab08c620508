"""All that a node does for its chunks unasked, joined: scrub, repair, trash and inspector, surplus.

Each part goes on whatever becomes of the others; what stands in its way it tells, and tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import structlog

from multicloud.errors import McError
from multicloud.files import make_private_folder
from nodeagent.store.contract import Damaged, Held
from nodeagent.upkeep.census import Census
from nodeagent.upkeep.collect import Collect
from nodeagent.upkeep.contract import (
    Chunks,
    Fellows,
    Giving,
    Happenings,
    Members,
    Roots,
    Settings,
    Telling,
    Whereabouts,
    Witness,
)
from nodeagent.upkeep.damages import Damages
from nodeagent.upkeep.evidence import EvidencePass
from nodeagent.upkeep.inspector import Inspector
from nodeagent.upkeep.leaving import Leaving
from nodeagent.upkeep.rate import Rate
from nodeagent.upkeep.repair import Repair
from nodeagent.upkeep.scrub import Scrub
from nodeagent.upkeep.shortage import Shortage
from nodeagent.upkeep.surplus import Surplus

_log = structlog.stdlib.get_logger(__name__)
SHORTAGE_EVERY_S = 1.0  # Asks nobody while members stay the same.
LEAVING_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom and what the upkeep needs; see `contract`."""

    chunks: Chunks
    read: Callable[[Held], Awaitable[object]]  # All of that very copy, on its volume.
    on_damage: Callable[[Damaged], None]  # The store's.
    stamp: Callable[[], object]  # Changes when chunks come or go.
    fellows: Fellows
    members: Members
    giving: Giving
    whereabouts: Whereabouts
    roots: Roots
    witness: Witness
    settings: Callable[[], Settings]
    busy: Callable[[], bool]
    telling: Telling
    happenings: Happenings
    damaged: Callable[[int, int], None]  # Damaged and lost chunks, when that changes.
    disks: Chunks | None = (
        None  # Without buckets, whose copies are no surplus; None: there is none.
    )


class Upkeep:
    def __init__(self, all_: Neighbours, folder: Path, rng: Random) -> None:
        make_private_folder(folder)
        self._all, self._rng = all_, rng
        of = all_.chunks, all_.settings, all_.telling, all_.happenings
        chunks, settings, telling, happenings = of
        self.chunks, self.settings = chunks, settings
        disks = all_.disks or chunks
        self.damages = Damages(folder / "damages.json")
        self.scrub = Scrub(chunks, all_.read, settings, all_.busy, telling)
        self.repair = Repair(
            chunks=disks,
            damages=self.damages,
            fellows=all_.fellows,
            members=all_.members,
            whereabouts=all_.whereabouts,
            roots=all_.roots,
            settings=settings,
            telling=telling,
            happenings=happenings,
            changed=self._changed,
            rng=rng,
        )
        self.collect = Collect(
            chunks, all_.roots, settings, telling, happenings, all_.members.frozen
        )
        rate = Rate(lambda: settings().scrub_bytes_per_s_max)  # Reading to be sure is a scrub.
        self.surplus = Surplus(
            disks, all_.roots, all_.fellows, all_.members, settings, telling, happenings, rate
        )
        sent = Rate(lambda: settings().repair_bytes_per_s_max)
        self.census = Census(chunks, all_.roots, all_.fellows, all_.members, settings, all_.stamp)
        self.shortage = Shortage(
            chunks, self.census, all_.members, all_.giving, settings, telling, happenings, sent
        )
        self.leaving = Leaving(chunks, self.census, all_.members, happenings)
        self.inspector = Inspector(
            chunks,
            all_.witness,
            self.surplus.kept_elsewhere,
            settings,
            telling,
            happenings,
            all_.members.frozen,
        )
        self.evidence = EvidencePass(
            chunks, all_.fellows, all_.members, all_.whereabouts, all_.roots, settings, rate
        )
        self.trouble: dict[str, str] = {}  # What stood in the way of a pass the last time.
        all_.on_damage(self.repair.on_damage)

    async def run(self) -> None:
        """Until it is cancelled."""
        settings = self._all.settings
        async with asyncio.TaskGroup() as group:
            group.create_task(self.repair.run())
            group.create_task(self.scrub.run())
            group.create_task(
                self._each("trash", self.trash_once, lambda: settings().trash_every_s)
            )
            group.create_task(self._each("shortage", self.shortage.look, lambda: SHORTAGE_EVERY_S))
            group.create_task(self._each("leaving", self.leaving.look, lambda: LEAVING_EVERY_S))
            group.create_task(
                self._each("surplus", self.surplus.pass_once, lambda: settings().surplus_every_s)
            )

    async def trash_once(self) -> None:
        await self.collect.pass_once()
        await self.inspector.pass_once()
        await self.evidence.pass_once()

    async def _each(
        self, name: str, work: Callable[[], Awaitable[object]], every_s: Callable[[], float]
    ) -> None:
        """Nodes that started together do not look together."""
        await asyncio.sleep(every_s() * self._rng.random())
        while True:
            try:
                await work()
                self.trouble.pop(name, None)
            except McError as error:  # A disk or a peer; the next pass tries it again.
                self.trouble[name] = error.message
                _log.warning("upkeep_hindered", part=name, reason=error.reason, why=error.message)
            await asyncio.sleep(every_s())

    def _changed(self) -> None:
        self._all.damaged(len(self.damages.open), self.damages.lost)

    def troubles(self) -> dict[str, str]:
        """What stands in the way now, by part."""
        named = {"repair": self.repair.trouble, "scrub": self.scrub.trouble, **self.trouble}
        return {part: why for part, why in named.items() if why}

    # -- For metrics

    def verified_age_s(self) -> Mapping[tuple[str, ...], float]:
        return {(): self.scrub.oldest_age_s()}

    def open_by_state(self) -> Mapping[tuple[str, ...], float]:
        lost = self.damages.lost
        return {("damaged",): float(len(self.damages.open) - lost), ("lost",): float(lost)}
