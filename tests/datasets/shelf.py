"""Real nodes with a real council, and dataset versions put there without a job."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from coordinator.electorate import Ask
from coordinator.policy import Level, Policy
from coordinator.types import Domain
from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.key_record import wrap
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey
from nodeagent.core.chunk.seal import Sealer
from nodeagent.jobs.datasets.making import Datasets
from nodeagent.jobs.datasets.manifest import Delivering, write_manifest
from nodeagent.jobs.datasets.versions import DATASETS, VERSIONS
from nodeagent.store.contract import Reading as StoreReading
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from nodeagent.wire.outlet import Terms
from nodeagent.wire.sealing import Sealing, sealed_bytes_max
from tests.support.meeting import meeting
from tests.support.nodes import Place, Running, until
from tests.support.people import People
from tests.support.sender import pieces

HERE = Domain("aws", "us-east-1", "a")
POLICY = Policy(3, ((Level.NODE, 3),))
RULES = job_pb2.Policy(
    replicas=3, spread=[job_pb2.SpreadRule(level=job_pb2.SPREAD_LEVEL_NODE, count=3)]
)
JOB = "j" * 20


class Slow(MemoryStore):
    """A disk that lets readers wait while it is told to."""

    def __init__(self, volume: str, *, clock: Callable[[], float]) -> None:
        super().__init__(volume, clock=clock)
        self.free = asyncio.Event()
        self.free.set()

    async def read(self, chunk_id: bytes) -> StoreReading:
        await self.free.wait()
        return await super().read(chunk_id)


@dataclass
class Shelf:
    nodes: list[Running]
    scratch: Path
    keys: dict[str, DatasetKey] = field(default_factory=dict)
    chunks: dict[str, list[bytes]] = field(default_factory=dict)  # By name@version.
    _count: int = 0

    def datasets(self, number: int) -> Datasets:
        return self.nodes[number].node.jobs.datasets

    def store(self, number: int) -> Slow:
        (store,) = self.nodes[number].node.data.store.stores
        assert isinstance(store, Slow)
        return store

    async def key_of(self, name: str) -> DatasetKey:
        if name not in self.keys:
            key = self.keys[name] = DatasetKey(secrets.token_bytes(16), secrets.token_bytes(32))
            secret = self.nodes[0].node.identity.cluster_key
            assert secret
            record = wrap(
                key, ClusterKey(1, secret), dataset=name, created_unix_ms=1, nonce=bytes(12)
            )
            await self.datasets(0).keyring.put(record, key.id.hex())
        return self.keys[name]

    async def chunk(self, plain: bytes, key: DatasetKey, holders: int = 3) -> task_pb2.SealedChunk:
        """Delivered to so many nodes."""
        self._count += 1
        node = self.nodes[0].node
        policy = Policy(holders, ((Level.NODE, holders),))
        task, size = f"t{self._count}", sealed_bytes_max(len(plain))
        ask = Ask(policy, HERE, task, size, source_node=node.roster.own.id)
        election = node.deliverer.brain.elect(ask, {})
        sealing = Sealing(
            lambda: Sealer(key, salt=secrets.token_bytes(32), codec=Codec.NONE),
            lambda: pieces(plain),
        )
        done = await node.deliverer.deliver(
            sealing.parts, election, Terms(JOB, task, size), ack_copies=holders
        )
        done.demand_safe()
        return task_pb2.SealedChunk(id=done.chunk_id, sealed_bytes=size, plain_bytes=len(plain))

    async def put(
        self,
        name: str,
        version: str,
        files: Mapping[bytes, Sequence[bytes]],
        *,
        holders: int = 3,
        packed: bool = False,
    ) -> records_pb2.VersionRecord:
        """Each file in the parts that are given: a chunk each, or all of them in one."""
        key = await self.key_of(name)
        parts = [
            (path, data, sum(map(len, pieces_[:place])))
            for path, pieces_ in files.items()
            for place, data in enumerate(pieces_)
        ]
        groups = [parts] if packed else [[part] for part in parts]
        results = [await self._result(group, key, holders) for group in groups]
        self.chunks[f"{name}@{version}"] = [c.id for one in results for c in one.chunks]
        record = await self._record(name, version, key, results)
        council = self.datasets(0).council
        await council.compare_and_set(
            f"{VERSIONS}{name}/{version}", 0, record.SerializeToString(), secrets.token_hex(8)
        )
        register = await council.get(DATASETS + name)
        dataset = records_pb2.DatasetRecord(
            name=name, last_version=int(version), key_id=key.id
        ).SerializeToString()
        await council.compare_and_set(
            DATASETS + name, register.version, dataset, secrets.token_hex(8)
        )
        return record

    async def _result(
        self, parts: Sequence[tuple[bytes, bytes, int]], key: DatasetKey, holders: int
    ) -> task_pb2.TaskResult:
        result = task_pb2.TaskResult(task=secrets.token_hex(4))
        result.traceparent = f"00-{'ab' * 16}-{'cd' * 8}-01"
        whole = b"".join(data for _, data, _ in parts)
        result.chunks.append(await self.chunk(whole, key, holders))
        start = 0
        for path, data, at_bytes in parts:
            result.files.add(
                path=path,
                at_bytes=at_bytes,
                offset_bytes=start,
                size_bytes=len(data),
                blake3=blake3(data).digest(),
                records=1,
                origin=path,
                modified_unix_ms=1_700_000_000_123,
                mode=0o640,
            )
            start += len(data)
        return result

    async def _record(
        self, name: str, version: str, key: DatasetKey, results: list[task_pb2.TaskResult]
    ) -> records_pb2.VersionRecord:
        async def each() -> AsyncIterator[task_pb2.TaskResult]:
            for one in results:
                yield one

        send = Delivering(self.nodes[0].node.deliverer, key, POLICY, JOB, HERE, ack_copies=3)
        head = records_pb2.ManifestHead(name=name, version=version, job=JOB)
        written = await write_manifest(head, each(), send, self.scratch)
        return records_pb2.VersionRecord(
            name=name,
            version=version,
            job=JOB,
            manifest=written.chunks,
            files=written.head.files,
            chunks=written.head.chunks,
            bytes=written.head.bytes,
            created_unix_ms=1_700_000_000_000,
            key_id=key.id,
            policy=RULES,
        )

    async def known_everywhere(self, name: str, version: str) -> None:
        key = f"{VERSIONS}{name}/{version}"
        await until(lambda: all(self.datasets(n).council.list(key) for n in range(3)))

    def drop(self, number: int, *chunk_ids: bytes) -> None:
        """A node has no copy any more, and nobody was told."""
        for chunk_id in chunk_ids:
            self.store(number)._living.pop(chunk_id, None)


async def shelf(stack: AsyncExitStack, people: People, folder: Path) -> Shelf:
    def store(place: Place) -> Volumes:
        return Volumes([Slow(place.id, clock=time.time)])

    nodes = await meeting(stack, people, folder, 3, store=store)

    def room(node: Running) -> bool:
        members = node.node.view().members.values()
        return sum(bool(m.facts and m.facts.bytes_free) for m in members) == 3

    await until(lambda: all(map(room, nodes)), 20)
    found = Shelf(nodes, folder)
    await _council(found)
    return found


async def _council(made: Shelf) -> None:
    """Until decisions can be made."""
    council = made.datasets(0).council

    async def decided() -> bool:
        try:
            await council.get("probe")
        except McError:
            return False
        return True

    async with asyncio.timeout(20):
        while not await decided():
            await asyncio.sleep(0.05)
