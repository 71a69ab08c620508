"""What the decided versions keep alive: chunks of their manifests, and the manifests themselves.

A version that was removed keeps its chunks as long as it can be restored. Chunks of jobs that are
not decided yet are held by the jobs' pins.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from coordinator.policy import Policy
from multicloud.v1 import records_pb2
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.datasets.versions import VERSIONS, Versions
from nodeagent.rpc.policies import policy_of
from nodeagent.upkeep.contract import Live

PROBE = "gc"  # A register that nobody sets: whether the council answers.
AGAIN_S = 60.0  # Versions that were removed go by time alone.
REMEMBERED_MAX = 4096  # Versions whose chunks are kept in memory, 56 bytes each chunk.
TRACE_BYTES = 24


@dataclass(slots=True)
class VersionRoots:
    """Roots and Witness of the upkeep. Where anything cannot be read nothing is deleted."""

    versions: Versions
    reading: Reading
    clock_unix_s: Callable[[], float] = time.time
    _named: OrderedDict[bytes, tuple[bytes, ...]] = field(default_factory=OrderedDict)
    _traces: dict[bytes, bytes] = field(default_factory=dict)  # Of the chunks, one after another.
    _read: tuple[object, Live] | None = None  # Versions never change: while they are the same.
    _stamp: object = None

    async def read(self, *, anew: bool = True) -> Live | None:
        as_of_unix_s = self.clock_unix_s()
        if anew:  # Of a node that the others do not reach the copy may be very old.
            await self.versions.council.get(PROBE)
        registers = self.versions.council.list(VERSIONS)
        if not registers:
            return None  # So far nobody has named anything.
        stamp = [(one.key, one.version) for one in registers]
        known = self._read[1] if self._read and not anew and stamp == self._stamp else None
        if known is not None and as_of_unix_s - known.as_of_unix_s < AGAIN_S:
            return known
        self._stamp = stamp
        records = [one for one in self.versions.all() if self.versions.is_live(one)]
        which = tuple((_which(one), one.policy.SerializeToString()) for one in records)
        if self._read is not None and self._read[0] == which:
            found = replace(self._read[1], as_of_unix_s=as_of_unix_s)
            self._read = which, found
            return found
        live: dict[bytes, Policy] = {}
        for record in records:
            policy = policy_of(record.policy)
            for chunk_id in await self._chunks(record):
                live[chunk_id] = _stricter(live.get(chunk_id), policy)
        found = Live(live, as_of_unix_s)
        self._read = which, found
        return found

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        """For the inspector: read anew, without what was remembered."""
        as_of_unix_s = self.clock_unix_s()
        await self.versions.council.get(PROBE)
        asked, named = set(chunk_ids), set[bytes]()
        for record in self.versions.all():
            if self.versions.is_live(record):
                named |= asked & {ref.id for ref in record.manifest}
                manifest = await self.reading.manifest_of(record)
                async for chunk in manifest.chunks():
                    if chunk.id in asked:
                        named.add(chunk.id)
        return {chunk_id: chunk_id in named for chunk_id in asked}, as_of_unix_s

    async def _chunks(self, record: records_pb2.VersionRecord) -> tuple[bytes, ...]:
        """A version never changes, so its chunks are read once."""
        which = _which(record)
        found = self._named.get(which)
        if found is None:
            manifest = await self.reading.manifest_of(record)
            listed, traces = [], bytearray()
            async for chunk in manifest.chunks():
                listed.append(chunk.id)
                traces += chunk.trace.ljust(TRACE_BYTES, b"\0")[:TRACE_BYTES]
            found = (*(ref.id for ref in record.manifest), *listed)
            self._named[which], self._traces[which] = found, bytes(traces)
            if len(self._named) > REMEMBERED_MAX:
                gone, _ = self._named.popitem(last=False)
                del self._traces[gone]
        return found

    def trace_of(self, chunk_id: bytes) -> str:
        """The traceparent of its writing, by what is remembered; empty when that is not known."""
        for which, ids in self._named.items():
            if chunk_id in ids:
                manifests = len(which) // len(chunk_id)
                at = (ids.index(chunk_id) - manifests) * TRACE_BYTES
                trace = self._traces[which][at : at + TRACE_BYTES].hex() if at >= 0 else ""
                return f"00-{trace[:32]}-{trace[32:]}-00" if trace.strip("0") else ""
        return ""


def _which(record: records_pb2.VersionRecord) -> bytes:
    return b"".join(ref.id for ref in record.manifest)


def _stricter(one: Policy | None, other: Policy) -> Policy:
    """Of two versions that share a chunk, the policy that asks for more copies."""
    return one if one is not None and one.replicas >= other.replicas else other
