"""The datasets of a real node: joined with its council, its chunks and its wire."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from coordinator.types import NodeId
from multicloud.errors import McError
from nodeagent.core.chunk.keys import ClusterKey
from nodeagent.council.contract import Council
from nodeagent.jobs.datasets.chunk_reading import ChunkReading
from nodeagent.jobs.datasets.naming import AskedRoots, NamingService
from nodeagent.jobs.datasets.racing import Means
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.datasets.rebuilding import Rebuilding
from nodeagent.jobs.datasets.removing import Removing
from nodeagent.jobs.datasets.roots import VersionRoots
from nodeagent.jobs.datasets.service import DatasetService
from nodeagent.jobs.datasets.verifying import Verifying
from nodeagent.jobs.datasets.versions import Versions
from nodeagent.jobs.datasets.whereabouts import NONCE_BYTES, AskedWhereabouts
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.store.volumes import Volumes
from nodeagent.upkeep.contract import Members
from nodeagent.upkeep.named import Namer
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.ground import Ground

REPORT_S = 5.0  # A peer that was bad may look at its copy for so long before a read ends.


@dataclass(slots=True)
class Datasets:
    """`services` for the node's door, `roots` for its upkeep, `keyring` for whoever makes keys."""

    council: Council
    ground: Ground
    client: ChunkClient
    store: Volumes | None
    members: Members
    cluster_keys: Mapping[int, ClusterKey]  # None of them: this node reads nothing.
    clock_unix_s: Callable[[], float] = time.time
    keyring: CouncilKeyring = field(init=False)
    versions: Versions = field(init=False)
    reading: Reading = field(init=False)
    roots: Namer = field(init=False)
    naming: NamingService = field(init=False)
    service: DatasetService = field(init=False)
    trace_of: Callable[[bytes], str] = field(init=False)  # Of the writing of a chunk.

    def __post_init__(self) -> None:
        self.keyring = CouncilKeyring(self.council, self.cluster_keys)
        self.versions = Versions(self.council, self.clock_unix_s)
        where = AskedWhereabouts(self.members, self.client)
        means = Means(
            self.ground, self.store, where, self._report, self.members.name, self.members.away
        )
        self.reading = Reading(self.versions, self.keyring, ChunkReading(means))
        read = VersionRoots(self.versions, self.reading, self.clock_unix_s)
        self.naming, self.roots, self.trace_of = NamingService(read), read, read.trace_of
        if not self.cluster_keys and self.store is not None:
            self.roots = AskedRoots(self.versions, self.store, self.members, self.client)
        self.service = DatasetService(
            self.versions,
            self.reading,
            Verifying(self.members, self.store, self.client),
            Removing(self.versions, self.reading, self.keyring),
        )

    @property
    def services(self) -> Mapping[str, Sequence[object]]:
        rebuilding = Rebuilding(self.versions, self.reading, self.store)
        return {"DatasetService": [self.service, rebuilding]}

    async def _report(self, node: NodeId, chunk_id: bytes) -> None:
        """It reads its copy, and when that is bad puts it aside and has it repaired."""
        nonce = bytes(NONCE_BYTES)
        with suppress(McError):  # Its own scrub will find it.
            await self.client.verify(node, [chunk_id], nonce, timeout_s=REPORT_S)
