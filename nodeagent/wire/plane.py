"""The data plane of one node, made and joined: store, budget, connections, service; and what the
node says of its volumes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from multicloud.v1 import common_pb2
from nodeagent.rpc.peers import Peers
from nodeagent.store.bucket.late import LateStore
from nodeagent.store.contract import Health, VolumeState
from nodeagent.store.volumes import Volumes
from nodeagent.wire.budget import Budget
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.ground import Ground, Limits, Watcher
from nodeagent.wire.lanes import Lanes
from nodeagent.wire.service import ChunkService

LOOK_EVERY_S = 0.5
FIGURES_EVERY_S = 10.0  # States are told at once; figures would be news with every chunk.
_STATES = {
    VolumeState.HEALTHY: common_pb2.VOLUME_STATE_HEALTHY,
    VolumeState.FULL: common_pb2.VOLUME_STATE_FULL,
    VolumeState.READ_ONLY: common_pb2.VOLUME_STATE_READ_ONLY,
    VolumeState.FAILED: common_pb2.VOLUME_STATE_FAILED,
}
Say = Callable[[Callable[[common_pb2.NodeFacts], None]], None]


class DataPlane:
    def __init__(
        self,
        node: str,
        store: Volumes,
        peers: Peers,
        address_of: Callable[[str], str],
        cloud_of: Callable[[str], str],
        round_s_of: Callable[[str], float | None],
        limits: Callable[[], Limits],
        watcher: Watcher,
    ) -> None:
        self.store, self.peers = store, peers
        self.budget = Budget(limits)
        links = Lanes(peers, address_of, round_s_of)
        self.ground = Ground(node, links, self.budget, limits, watcher, cloud_of)
        self.client = ChunkClient(links)
        self.service = ChunkService(self.ground, store)
        self._room = _room(store.disks.healths())

    def room(self) -> tuple[int, int]:
        """Bytes in all, and those that chunks may still take, on volumes that take some.

        May be asked from any thread: it is what was seen last.
        """
        return self._room

    async def tell(self, say: Say) -> None:
        """What the node says of its volumes follows them, until it is cancelled."""
        told: list[common_pb2.VolumeFacts] = []
        told_s = 0.0
        while True:
            healths = self.store.healths()
            self._room = _room(self.store.disks.healths())
            facts = volume_facts(healths, time.time(), self.store.buckets)
            now_s = time.monotonic()
            urgent = _states(facts) != _states(told)
            if urgent or (facts != told and now_s - told_s >= FIGURES_EVERY_S):
                told, told_s = facts, now_s
                say(_said(facts))
            await asyncio.sleep(LOOK_EVERY_S)


def volume_facts(
    healths: Mapping[str, Health], now_unix_s: float, buckets: Sequence[LateStore] = ()
) -> list[common_pb2.VolumeFacts]:
    told = [
        common_pb2.VolumeFacts(
            uuid=uuid,
            state=_STATES[health.state],
            chunks=health.chunks,
            bytes_used=health.bytes_used,
            bytes_free=health.bytes_free,
            scrub_age_s=_age_s(health.oldest_check_unix_s, now_unix_s),
            bytes_total=health.bytes_total,
        )
        for uuid, health in sorted(healths.items())
    ]
    by_uuid = {fact.uuid: fact for fact in told}
    for bucket in buckets:
        fact = by_uuid[bucket.volume]
        fact.bucket.uri, fact.bucket.cloud = bucket.where.uri, bucket.where.cloud
        fact.bucket.region = bucket.where.region
    return told


def _age_s(unix_s: float | None, now_unix_s: float) -> int:
    return -1 if unix_s is None else max(0, int(now_unix_s - unix_s))


def _room(healths: Mapping[str, Health]) -> tuple[int, int]:
    taking = [h for h in healths.values() if h.state is VolumeState.HEALTHY]
    total = sum(health.bytes_total for health in healths.values())
    return total, sum(health.bytes_free for health in taking)


def _states(facts: list[common_pb2.VolumeFacts]) -> list[tuple[str, int]]:
    return [(fact.uuid, fact.state) for fact in facts]


def _said(facts: list[common_pb2.VolumeFacts]) -> Callable[[common_pb2.NodeFacts], None]:
    def change(own: common_pb2.NodeFacts) -> None:
        del own.volumes[:]
        own.volumes.extend(facts)

    return change
