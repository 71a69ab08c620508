"""One export, led by the node that was asked: cuts the version into batches, has the nodes that are
to write do them, gives what one could not do to another, and writes the manifest last.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import export_pb2
from nodeagent.jobs.datasets.listing import listed
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.exporting import layout
from nodeagent.jobs.exporting.layout import Target
from nodeagent.jobs.sources.globs import Globs
from nodeagent.wire.flow import first_of

BATCH_FILES, BATCH_BYTES = 500, 1 << 30
LANES = 2  # Of one node.
TELL_EVERY_S = 0.25
FAULTS_MAX = 1000  # Told by name; all are counted.
# What a node lacks; whatever else goes wrong with a batch is wrong on every node.
OF_A_NODE = frozenset(
    {
        "NOT_ALLOWED",
        "UNREACHABLE",
        "TOO_BUSY",
        "DEADLINE",
        "STALLED",
        "DRAINING",
        "EXTRA_MISSING",
        "CONFIG_INVALID",
        "KEY_MISSING",
        "CANCELLED",
    }
)
Request = export_pb2.ExportFilesRequest
Answer = export_pb2.ExportFilesResponse
By = Callable[[str, Request], AsyncIterator[Answer]]  # A node, and what it is to write.


@dataclass(slots=True)
class Leading:
    request: export_pb2.ExportVersionRequest
    target: Target
    manifest: ManifestReading
    writers: list[str]
    name_of: Callable[[str], str]
    by: By
    say: Callable[[export_pb2.ExportVersionResponse], None]
    sums: export_pb2.ExportVersionResponse
    lost: dict[str, McError] = field(default_factory=dict)
    _again: list[Request] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _lists: int = 0
    _told_s: float = float("-inf")

    async def run(self) -> None:
        """NOT_ALLOWED and the like when no node is left that can write."""
        batches = self._batches()
        try:
            while True:
                left = [node for node in self.writers if node not in self.lost]
                if not left:
                    raise self._nobody()
                async with asyncio.TaskGroup() as group:
                    for node in left * LANES:
                        group.create_task(self._lane(node, batches))
                if not self._again:
                    break
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        await self._finish()

    async def _lane(self, node: str, batches: AsyncIterator[Request]) -> None:
        while node not in self.lost and (batch := await self._next(batches)) is not None:
            done: list[Answer] = []
            try:
                async for answer in self.by(node, batch):
                    done.append(answer)
                    self._count(answer, 1)
            except McError as error:
                if error.reason not in OF_A_NODE:
                    raise
                self.lost[node] = error
                self._again.append(batch)
                for answer in done:  # Whoever does it next finds most of it there.
                    self._count(answer, -1)

    async def _next(self, batches: AsyncIterator[Request]) -> Request | None:
        async with self._turn:
            return self._again.pop() if self._again else await anext(batches, None)

    async def _batches(self) -> AsyncIterator[Request]:
        globs = Globs(self.request.include, self.request.exclude)
        batch, size_bytes = self._batch(), 0
        async for found in listed(self.manifest, b""):
            if not globs.allows(found.path):
                continue
            batch.paths.append(found.path)
            size_bytes += found.entries[0].bytes
            if len(batch.paths) >= BATCH_FILES or size_bytes >= BATCH_BYTES:
                yield self._numbered(batch)
                batch, size_bytes = self._batch(), 0
        if batch.paths:
            yield self._numbered(batch)

    def _numbered(self, batch: Request) -> Request:
        batch.number = self._lists
        self._lists += 1
        return batch

    def _batch(self) -> Request:
        return Request(
            name=self.manifest.record.name,
            version=self.manifest.record.version,
            target=self.request.target,
            overwrite=self.request.overwrite,
        )

    def _count(self, answer: Answer, sign: int) -> None:
        sums = self.sums
        if answer.reason:
            sums.files_failed += sign
            if sign > 0 and sums.files_failed <= FAULTS_MAX:
                sums.faults.add(path=answer.path, reason=answer.reason, message=answer.message)
        elif answer.there:
            sums.files_there += sign
        else:
            sums.files_written += sign
            sums.bytes_written += sign * answer.bytes
        now_s = asyncio.get_running_loop().time()
        if sign > 0 and now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            self.tell()

    def tell(self) -> None:
        told = export_pb2.ExportVersionResponse()
        told.CopyFrom(self.sums)
        self.sums.ClearField("faults")
        self.say(told)

    async def _finish(self) -> None:
        """A manifest stands for a whole export: where files failed there is none."""
        if not self.sums.files_failed:
            request = self._batch()
            request.manifest = json.dumps(self._manifest(), indent=1).encode() + b"\n"
            node = next(node for node in self.writers if node not in self.lost)
            async for _ in self.by(node, request):
                pass
            self.sums.manifest = f"{self.target.place.uri}/{self.target.manifest}"
        self.tell()

    def _manifest(self) -> Mapping[str, object]:
        prefix = len(self.target.prefix)
        lists = [self.target.list_of(n)[prefix:] for n in range(self._lists)]
        record, sums = self.manifest.record, self.sums
        return {
            **layout.head(record.name, record.version),
            "files": sums.files_written + sums.files_there,
            "bytes": sums.bytes,
            "created_unix_ms": record.created_unix_ms,
            "include": list(self.request.include),
            "exclude": list(self.request.exclude),
            "lists": lists,
        }

    def _nobody(self) -> McError:
        lost = sorted((self.name_of(node), error.message) for node, error in self.lost.items())
        said = "; ".join(f"{name}: {why}" for name, why in lost)
        reasons = {error.reason for error in self.lost.values()}
        reason = reasons.pop() if len(reasons) == 1 else "UNREACHABLE"
        return McError(
            reason,
            f"no node can write {self.target.shown}: {said}",
            next="grant one of them what is missing, and run it again: it goes on",
        )
