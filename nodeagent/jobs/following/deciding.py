"""When a batch closes, and what its job is: pure.

A batch is the whole source as far as it was settled at one moment. That moment is its identity:
whoever lists with it later finds the same files, or such as have changed and are of the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from multicloud.errors import FieldFault, McError
from multicloud.v1 import job_pb2, task_pb2
from nodeagent.jobs.sources.uris import NODE, parse

DAY_MS = 24 * 3600 * 1000
BOUNDS_MS = {"settle_ms": (100, DAY_MS), "every_ms": (100, 30 * DAY_MS), "rescan_ms": (100, DAY_MS)}
DIGEST_BYTES = 16


@dataclass(slots=True)
class Look:
    """One look at a source, page by page, in memory that does not grow."""

    until_unix_ms: int  # What changed later is not settled.
    since_unix_ms: int  # What changed later is new.
    files: int = 0
    size_bytes: int = 0
    new_files: int = 0
    new_bytes: int = 0
    unsettled: int = 0
    _digest: Any = field(default_factory=blake3)

    def add(self, objects: Sequence[task_pb2.ListedObject]) -> None:
        for one in objects:
            if one.changed_unix_ms > self.until_unix_ms:
                self.unsettled += 1
                continue
            etag = one.etag.encode()
            self._digest.update(b"%d %d " % (len(one.path), len(etag)) + one.path + etag)
            self.files += 1
            self.size_bytes += one.size_bytes
            if one.changed_unix_ms > self.since_unix_ms:
                self.new_files += 1
                self.new_bytes += one.size_bytes

    @property
    def digest(self) -> bytes:
        found: bytes = self._digest.digest(DIGEST_BYTES)
        return found


def is_new(look: Look, last: job_pb2.Batch) -> bool:
    """Whether there is anything for a batch. A folder that is empty makes none: a disk that is not
    mounted looks like that. Files that are merely being written again make none either.
    """
    if not look.files or look.digest == last.digest:
        return False
    return bool(look.new_files) or not look.unsettled


def wait_ms(rule: job_pb2.Follow, look: Look, last: job_pb2.Batch) -> int:
    """How long what is new has to wait for more; 0: the batch closes now."""
    enough = (rule.files and look.new_files >= rule.files) or (
        rule.bytes and look.new_bytes >= rule.bytes
    )
    if enough or not last.number:
        return 0
    return max(0, last.changed_until_unix_ms + rule.every_ms - look.until_unix_ms)


def batch(job: str, look: Look, last: job_pb2.Batch) -> job_pb2.Batch:
    return job_pb2.Batch(
        standing_job=job,
        number=last.number + 1,
        changed_until_unix_ms=look.until_unix_ms,
        digest=look.digest,
        files=look.files,
        bytes=look.size_bytes,
    )


def job_of(standing: job_pb2.JobSpec, decided: job_pb2.Batch) -> job_pb2.CreateJobRequest:
    """The same request whoever makes it, however often."""
    spec = job_pb2.JobSpec()
    spec.CopyFrom(standing)
    spec.ClearField("follow")
    spec.batch.CopyFrom(decided)
    request_id = f"{decided.standing_job}/batch/{decided.number}"
    return job_pb2.CreateJobRequest(request_id=request_id, spec=spec)


def faults(spec: job_pb2.JobSpec) -> Iterator[FieldFault]:
    """What is wrong with a standing job that somebody asks for."""
    if spec.HasField("batch"):
        yield FieldFault("spec.batch", "absent: batches are made by the cluster alone")
    if not spec.HasField("follow"):
        return
    for name, (least, most) in BOUNDS_MS.items():
        if not least <= getattr(spec.follow, name) <= most:
            yield FieldFault(f"spec.follow.{name}", f"{least} to {most}")
    try:
        kind = parse(spec.source).kind
    except McError:
        return  # Whoever opens the source says what is wrong with it.
    if kind != NODE:
        yield FieldFault("spec.source", "node://NAME/path: only folders of nodes can be followed")
