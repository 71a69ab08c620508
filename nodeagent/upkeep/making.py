"""The upkeep of a real node: joins it with the node's store, its members and its wire."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

import structlog

from coordinator.distance import Measured
from coordinator.types import NodeId, View
from multicloud.v1 import common_pb2
from nodeagent.body import Body
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.roster import Roster
from nodeagent.store.contract import Held
from nodeagent.store.keyring_folder import FolderKeyring
from nodeagent.upkeep.admin import UpkeepAdmin
from nodeagent.upkeep.contract import Settings, Telling
from nodeagent.upkeep.doctor import Doctor
from nodeagent.upkeep.fellows import ClusterMembers, EveryMember, WireFellows
from nodeagent.upkeep.giving import DeliveredGiving
from nodeagent.upkeep.keys import KeyringKeys, Records
from nodeagent.upkeep.linking import Linking
from nodeagent.upkeep.named import AllRoots, Namer
from nodeagent.upkeep.telling_copies import TellingCopies
from nodeagent.upkeep.upkeep import Neighbours, Upkeep
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.plane import DataPlane

_log = structlog.stdlib.get_logger(__name__)
LIVE = "live-chunks"  # In the state folder; see `live_file`.
KEYRING = "keyring"


class Views(Protocol):
    def view(self) -> View: ...
    def measured(self) -> Mapping[NodeId, Measured]: ...


class NodeUpkeep:
    def __init__(
        self,
        data: DataPlane,
        body: Body,
        roster: Roster,
        views: Views,
        folder: Path,
        settings: Callable[[], Settings],
        telling: Telling,
        deliverer: Deliverer,
        *,
        hold_s: float,
        has_keys: bool,
    ) -> None:
        self._data, self._roster = data, roster
        self.members = ClusterMembers(views, roster, views.measured, body.lost, hold_s)
        self._fellows = WireFellows(roster.own.id, data.client)
        self._roots = AllRoots(folder / LIVE)
        self._keys = KeyringKeys(FolderKeyring(folder / KEYRING) if has_keys else None)

        self._linking = Linking(telling)

        def damaged(count: int, lost: int) -> None:
            body.say(lambda own: _say_damaged(own, count, lost))

        self.upkeep = Upkeep(
            Neighbours(
                chunks=data.store,
                read=self._read,
                on_damage=data.store.disks.on_damage,
                stamp=self._stamp,
                fellows=self._fellows,
                members=self.members,
                giving=DeliveredGiving(deliverer, self.members),
                whereabouts=EveryMember(self.members),
                roots=self._roots,
                witness=self._roots,
                settings=settings,
                busy=lambda: data.budget.used_bytes > 0,
                telling=self._linking,
                happenings=body.events,
                damaged=damaged,
                disks=data.store.disks,
            ),
            folder / "upkeep",
            Random(),
        )
        self._happenings = body.events
        for bucket in data.store.buckets:
            bucket.on_damage(self._in_a_bucket)
        self.also_waits_for(self._served)
        self._telling = TellingCopies(self.upkeep, lambda: len(views.view().members), body.say)

    def _served(self) -> list[str]:
        """Whoever empties this node should have them adopted before."""
        served = (one for one in self._data.store.buckets if one.is_served)
        return [f"it serves {one.where.uri}: another node must adopt it" for one in served]

    def _in_a_bucket(self, held: Held, why: str) -> None:
        """The shortage pass finds that it is missing; here it is only told."""
        chunk = held.chunk_id.hex()
        self._happenings.add("chunk.damaged", chunk=chunk, volume=held.volume, why=why)
        _log.error("chunk_damaged", chunk=chunk, volume=held.volume, why=why)

    async def _read(self, held: Held) -> None:
        """Two volumes may have one chunk, and each copy is to be read."""
        for store in self._data.store.stores:
            if store.volume == held.volume:
                await store.verify(held.chunk_id)

    def _stamp(self) -> object:
        return [(one.chunks, one.bytes_used) for one in self._data.store.healths().values()]

    def also_named_by(self, namer: Namer) -> None:
        """What it names is live, too."""
        self._roots.namers.append(namer)

    def links_to(self, origin: Callable[[bytes], str]) -> None:
        """Who knows in which trace a chunk was written."""
        self._linking.origin = origin

    def also_knows_keys_of(self, decided: Records) -> None:
        self._keys.decided.append(decided)

    def also_waits_for(self, told: Callable[[], Sequence[str]]) -> None:
        """What keeps this node from being deleted, beside its chunks."""
        self.upkeep.leaving.waits.append(told)

    def knows_ended_jobs(self, has_ended: Callable[[str], bool]) -> None:
        """Whose pins keep no node from being deleted."""
        self.upkeep.leaving.has_ended = has_ended

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.upkeep.run())
            group.create_task(self._telling.run())

    def admin(self, passing: Passing) -> UpkeepAdmin:
        store = self._data.store
        return UpkeepAdmin(
            passing=passing,
            doctor=Doctor(
                self._roster.own.name, self.upkeep, store.healths, store.read, self._keys
            ),
            chunks=store,
            members=self.members,
            fellows=self._fellows,
            roots=self._roots,
            damages=self.upkeep.damages,
            healths=store.healths,
            folders=self._folders,
            clock_unix_s=time.time,
        )

    def _folders(self) -> Mapping[str, str]:
        """Of stores that keep their chunks in one."""
        return {
            store.volume: str(getattr(store, "folder", "")) for store in self._data.store.stores
        }


def _say_damaged(own: common_pb2.NodeFacts, damaged: int, lost: int) -> None:
    own.damaged, own.lost = damaged, lost
