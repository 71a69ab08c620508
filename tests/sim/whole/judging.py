"""What has to hold, whatever happened: looked at while a life runs, and when it has been healed."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from coordinator.policy import Policy, Site, shortfall
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs.datasets.versions import VERSIONS
from nodeagent.jobs.header import JOBS
from nodeagent.jobs.steward_ending import version_key
from tests.sim.linear import untrue
from tests.sim.whole.sealed import HOLDS

LEFT_ON_PURGE = 2  # Files of a chunk on other disks, when one of something that lives is unlinked.


@dataclass
class Evidence:
    """What was said and done in a life."""

    life: Any
    wrong: list[str] = field(default_factory=list)
    registers: dict[tuple[str, int], bytes] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    results: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    purges: int = 0

    def decided(self, key: str, version: int, value: bytes) -> None:
        """Some copy took it in: a version has one value for ever, an outcome is the last word."""
        known = self.registers.setdefault((key, version), value)
        if known != value:
            self.wrong.append(f"version {version} of {key} has two values")
        self.newest[key] = max(version, self.newest.get(key, 0))
        if key.startswith(JOBS):
            self._outcome_stays(key, version, value)

    def _outcome_stays(self, key: str, version: int, value: bytes) -> None:
        header = records_pb2.JobHeader.FromString(value)
        for near in (version - 1, version + 1):
            body = self.registers.get((key, near))
            if body is None:
                continue
            other = records_pb2.JobHeader.FromString(body)
            earlier, later = (other, header) if near < version else (header, other)
            if earlier.HasField("outcome") and earlier.outcome != later.outcome:
                self.wrong.append(f"{key} was decided twice")

    def acked(self, job: str, result: str, chunk_id: bytes) -> None:
        self.results[result].add(chunk_id)

    def purged(self, shelf: Any, chunk_id: bytes) -> None:
        """Unlinked for ever, while something may still need it."""
        self.purges += 1
        if chunk_id not in self.live():
            return
        left = sum(disk.store is not shelf and disk.store.keeps(chunk_id) for disk in self._disks())
        if left < LEFT_ON_PURGE:
            self.wrong.append(
                f"{chunk_id.hex()[:6]} is live and was unlinked; {left} files are left"
            )

    def _disks(self) -> list[Any]:
        return list(self.life.disks.values())

    def value(self, key: str) -> bytes:
        return self.registers[key, self.newest[key]]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.newest if key.startswith(prefix))

    def versions(self) -> Iterator[records_pb2.VersionRecord]:
        for key in self.keys(VERSIONS):
            yield records_pb2.VersionRecord.FromString(self.value(key))

    def live(self, *, also_removed: bool = False) -> set[bytes]:
        """What a version names that nobody has removed."""
        found: set[bytes] = set()
        for record in self.versions():
            if not record.removed_unix_ms or also_removed:
                which = bytes(record.manifest[0].id)
                found |= {which, *self.life.manifests[which].sizes}
        return found

    def story(self) -> Iterator[str]:
        for (key, version), _ in sorted(self.registers.items()):
            yield f"{key} {version}"
        yield f"{self.purges}"
        yield from (f"{told.begun_s} {told.ended_s}" for told in self.life.people.told)


def judged(life: Any) -> list[str]:
    """When everything is healed and has had its time."""
    evidence = life.evidence
    return [
        *evidence.wrong,
        *(line for process in life.every_process for line in process.loop.broken),
        *untrue(life.people.told),
        *_jobs(life),
        *_results(life),
        *_copies(life),
        *_deleted(life),
        *_known(life),
        *_collected(life),
    ]


def _jobs(life: Any) -> Iterator[str]:
    """Every submit that was answered stands, has ended, and its sums agree with the source."""
    evidence = life.evidence
    for job, header in life.people.answered.items():
        key = JOBS + job
        if key not in evidence.newest:
            yield f"job {job} was accepted and is unknown"
            continue
        value = records_pb2.JobHeader.FromString(evidence.value(key))
        if not value.HasField("outcome"):
            yield f"job {job} has no outcome"
            continue
        if value.version != header.value.version:
            yield f"job {job} has two numbers"
        yield from _reconciles(life, value)
    numbers = Counter(
        (value.spec.dataset, value.version)
        for key in evidence.keys(JOBS)
        for value in [records_pb2.JobHeader.FromString(evidence.value(key))]
    )
    yield from (f"{which} is of {count} jobs" for which, count in numbers.items() if count > 1)


def _reconciles(life: Any, header: records_pb2.JobHeader) -> Iterator[str]:
    job, counts = header.id, header.outcome.counts
    files = life.source.folders[header.spec.source.removeprefix("memory://")]
    if header.outcome.state != job_pb2.JOB_STATE_DONE:
        if not header.outcome.error:
            yield f"job {job} failed and does not say why"
        elif not header.outcome.error.startswith("nothing could be taken in"):
            yield f"job {job} failed: {header.outcome.error}"
        return
    if counts.objects_listed != len(files):
        yield f"job {job}: {len(files)} files are there, {counts.objects_listed} were listed"
    if counts.objects_ingested + counts.objects_skipped != counts.objects_listed:
        yield f"job {job}: its objects do not add up: {counts}"
    if version_key(header) not in life.evidence.newest:
        yield f"job {job} is done and made no version"
    manifest = life.manifests[bytes(header.outcome.manifest[0].id)]
    held: Counter[str] = Counter()
    for chunks in manifest.results.values():
        for chunk_id in chunks:
            held.update(HOLDS[chunk_id])
    wanted = Counter(_pieces(files))
    short = {piece for piece in wanted if piece.split()[0] in manifest.cut_short}
    for piece in {*held, *wanted}:
        if held[piece] > 1 or (not held[piece] and piece not in short) or not wanted[piece]:
            yield f"job {job}: {piece!r} is {held[piece]} times in the version"


def _pieces(files: dict[str, tuple[int, str]]) -> Iterator[str]:
    chunk_bytes = 1 << 20
    for name, (size, etag) in files.items():
        for offset in range(0, max(1, size), chunk_bytes):
            yield f"{name} {etag} {offset} {min(chunk_bytes, size - offset)}"


def _results(life: Any) -> Iterator[str]:
    """One name of a result names one result."""
    for result, chunks in life.evidence.results.items():
        if len(chunks) > 1:
            yield f"{result} was acked with {len(chunks)} different chunks"


def _copies(life: Any) -> Iterator[str]:
    """What a version names stands as its policy asks, on disks that live."""
    domains = {host.id: host.domain for host in life.hosts}
    for chunk_id in sorted(life.evidence.live()):
        sites = [
            Site(domains[node], node)
            for node, disk in life.disks.items()
            if chunk_id in disk.store.living()
        ]
        if not sites:
            yield f"{chunk_id.hex()[:6]} of a version is nowhere"
        elif any(shortfall(Policy(), sites)) or len(sites) < Policy().replicas:
            where = ", ".join(life.by_id[site.node].name for site in sites)
            yield f"{chunk_id.hex()[:6]} of a version has only copies on {where}"


def _deleted(life: Any) -> Iterator[str]:
    """What was removed stands on no node again."""
    standing = {
        (record.name, record.version, process.host.name)
        for process in life.processes.values()
        for record in process.versions.all()
        if not record.removed_unix_ms
    }
    for name, version, node in sorted(standing):
        if (name, version) in life.people.removed - life.people.restored:
            yield f"{name}@{version} was removed and stands again on {node}"


def _known(life: Any) -> Iterator[str]:
    """Every node's copy has come up with what is decided."""
    for process in life.processes.values():
        states = process.council.copy.states
        for key, version in life.evidence.newest.items():
            if key not in states or states[key].version != version:
                yield f"{process.host.name} does not know version {version} of {key}"


def _collected(life: Any) -> Iterator[str]:
    """What nothing names, and nothing pins, is among the living no more."""
    if not life.evidence.keys(VERSIONS):
        return  # Nobody has said what is live; then nothing is deleted.
    named = life.evidence.live(also_removed=True)
    for node, disk in life.disks.items():
        for chunk_id in sorted(disk.store.living() - named):
            if not disk.store.pinned_by(chunk_id):
                name = life.by_id[node].name
                yield f"{chunk_id.hex()[:6]}, which nothing names, is still kept by {name}"
