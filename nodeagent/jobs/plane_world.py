"""The node around its jobs: whom it sees, how others are reached, what time it is."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import grpc

from coordinator.jobs.settings import StewardSettings
from coordinator.places import is_bucket, node_of
from coordinator.types import Domain, Knowing, NodeId, View
from nodeagent.wire.bucket_places import buckets_of

THERE = frozenset({Knowing.ALIVE, Knowing.SUSPECT})
AWAY = frozenset({Knowing.UNREACHABLE, Knowing.DOWN, Knowing.DEAD, Knowing.LEFT, Knowing.REMOVED})


@dataclass(frozen=True, slots=True)
class JobWorld:
    own: NodeId
    view: Callable[[], View]
    name_of: Callable[[NodeId], str]
    channel: Callable[[NodeId], grpc.aio.Channel]  # UNREACHABLE when no way is known.
    volume_of: Callable[[NodeId], str]  # The state folder of a node; "" while it is not known.
    settings: StewardSettings = field(default_factory=StewardSettings)
    rng: Random = field(default_factory=Random)
    clock_unix_s: Callable[[], float] = time.time

    def clock_s(self) -> float:
        return asyncio.get_running_loop().time()

    def unix_ms(self) -> int:
        return int(self.clock_unix_s() * 1000)

    def is_there(self, node: NodeId) -> bool:
        """This node itself always is."""
        member = self.view().members.get(node)
        return node == self.own or (member is not None and member.knowing in THERE)

    def is_away(self, node: NodeId) -> bool:
        """Known to be; not merely unknown, as everybody is after a start."""
        member = self.view().members.get(node)
        return node != self.own and member is not None and member.knowing in AWAY

    def domain_of(self, node: NodeId) -> Domain | None:
        """Also of a bucket that a node serves."""
        member = self.view().members.get(node_of(node))
        if member is not None and is_bucket(node):
            member = next((one for one in buckets_of(member) if one.id == node), None)
        return member.facts.domain if member and member.facts else None

    def names(self, nodes: Iterable[NodeId]) -> str:
        return ", ".join(sorted(map(self.name_of, nodes)))
