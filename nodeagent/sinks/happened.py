"""Which events a decision of the council is, or what became of a node. The same on every node,
with the same id, whoever tells it: receivers drop what they have had.
"""

import fnmatch
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3
from google.protobuf.message import DecodeError

from multicloud.v1 import job_pb2, records_pb2
from nodeagent.council.contract import Register
from nodeagent.jobs.datasets.versions import VERSIONS
from nodeagent.jobs.header import JOBS
from nodeagent.ops.events import Happening

ID_BYTES = 12
ENDS = {
    job_pb2.JOB_STATE_DONE: "job.done",
    job_pb2.JOB_STATE_FAILED: "job.failed",
    job_pb2.JOB_STATE_CANCELLED: "job.cancelled",
}
OF_NODES = frozenset({"node.down", "node.dead", "node.left", "node.removed", "node.alive"})
TEST = "sink.test"


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    unix_ms: int
    id: bytes
    data: Mapping[str, Any]

    def body(self, cluster: str) -> bytes:
        """As receivers get it, and as docs/events.md says."""
        told = {
            "id": f"evt_{self.id.hex()}",
            "type": self.kind,
            "unix_ms": self.unix_ms,
            "cluster": cluster,
            "data": dict(self.data),
        }
        return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()


def event(kind: str, unix_ms: int, of: Sequence[object], data: Mapping[str, Any]) -> Event:
    """`of`: what makes it this event and no other."""
    seed = "\0".join(map(str, (kind, *of)))
    return Event(kind, unix_ms, blake3(seed.encode()).digest(ID_BYTES), data)


def of_register(register: Register) -> list[Event]:
    """All that this register says has happened. Nothing, when it holds no job and no version."""
    try:
        if register.key.startswith(JOBS):
            return list(_of_job(records_pb2.JobHeader.FromString(register.value)))
        if register.key.startswith(VERSIONS):
            return list(_of_version(records_pb2.VersionRecord.FromString(register.value)))
    except DecodeError:
        pass  # Whoever follows the headers tells of it.
    return []


def _of_job(header: records_pb2.JobHeader) -> Iterator[Event]:
    job = {"job": header.id, "dataset": header.spec.dataset, "version": header.version}
    who = {"submitter": header.submitter, "trace_id": header.trace_id}
    yield event("job.submitted", header.created_unix_ms, [header.id], {**job, **who})
    outcome = header.outcome
    if outcome.state in ENDS:
        facts = {**job, "files": outcome.files, "bytes": outcome.bytes, "error": outcome.error}
        of = (header.id, outcome.ended_unix_ms)
        yield event(ENDS[outcome.state], outcome.ended_unix_ms, of, facts)


def _of_version(record: records_pb2.VersionRecord) -> Iterator[Event]:
    version = {"dataset": record.name, "version": record.version, "job": record.job}
    facts = {**version, "files": record.files, "chunks": record.chunks, "bytes": record.bytes}
    name = (record.name, record.version)
    yield event("version.decided", record.created_unix_ms, name, facts)
    if record.removed_unix_ms:
        of = (*name, record.removed_unix_ms)
        told = {**version, "shredded": record.shredded}
        yield event("version.removed", record.removed_unix_ms, of, told)


def of_node(told: Happening, life: Sequence[object]) -> Event | None:
    """`life`: which of that node's lives it is about, as all know it."""
    if told.name not in OF_NODES:
        return None
    facts = {"node": told.facts.get("node", ""), "why": told.facts.get("why", "")}
    node = told.facts.get("id", "")
    return event(told.name, told.unix_ms, (node, *life), {"node_id": node, **facts})


def wanted(kind: str, patterns: Iterable[str]) -> bool:
    """None of them: every kind is."""
    chosen = list(patterns)
    return not chosen or any(fnmatch.fnmatchcase(kind, pattern) for pattern in chosen)
