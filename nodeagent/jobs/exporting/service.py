"""ExportService: any node leads an export; those near the bucket write."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from math import inf

import grpc

from coordinator.prices import GB
from coordinator.types import Domain, NodeId
from multicloud.status import decode
from multicloud.v1 import export_pb2, job_pb2
from multicloud.v1.export_pb2_grpc import ExportServiceStub
from nodeagent.jobs.datasets.listing import listed
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.exporting.layout import Target
from nodeagent.jobs.exporting.leading import Leading
from nodeagent.jobs.exporting.writing import Writing
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.readers import Readers
from nodeagent.rpc.call import Call
from nodeagent.wire.answers import Answers


@dataclass(slots=True)
class ExportService:
    world: JobWorld
    reading: Reading
    readers: Readers
    writing: Writing
    prices_date: str

    async def export_version(
        self, request: export_pb2.ExportVersionRequest, call: Call
    ) -> AsyncIterator[export_pb2.ExportVersionResponse]:
        target = Target.of(request.target)
        manifest = await self.reading.manifest(request.name, request.version)
        sums = export_pb2.ExportVersionResponse(version=manifest.record.version)
        await self._size(sums, manifest, request)
        writers = await self._writers(target, sums)
        if request.validate_only or not sums.files:
            yield sums
            return
        answers: Answers[export_pb2.ExportVersionResponse] = Answers()
        leading = Leading(
            request, target, manifest, writers, self.world.name_of, self._by, answers.say, sums
        )
        leading.tell()
        async for answer in answers.of(leading.run):
            yield answer

    async def export_files(
        self, request: export_pb2.ExportFilesRequest, call: Call
    ) -> AsyncIterator[export_pb2.ExportFilesResponse]:
        async for answer in self.writing.write(request):
            yield answer

    async def _size(
        self,
        sums: export_pb2.ExportVersionResponse,
        manifest: ManifestReading,
        request: export_pb2.ExportVersionRequest,
    ) -> None:
        globs = Globs(request.include, request.exclude)
        if not request.include and not request.exclude:
            sums.files, sums.bytes = manifest.record.files, manifest.record.bytes
            return
        async for found in listed(manifest, b""):
            if globs.allows(found.path):
                sums.files += 1
                sums.bytes += found.entries[0].bytes

    async def _writers(
        self, target: Target, sums: export_pb2.ExportVersionResponse
    ) -> list[NodeId]:
        """Whoever can list the place, at least; whether it may write is found out by writing."""
        place = f"{target.place.uri}/{target.prefix}"
        uri = place + (f"?endpoint={target.place.endpoint}" if target.place.endpoint else "")
        found = [n for n in await self.readers.able(uri) if self.readers.cost(uri, n) < inf]
        if not found:
            raise self.readers.nobody(uri)
        reach = self.readers.reach(uri)
        sums.writers.extend(self.world.name_of(node) for node in found)
        for node, error in sorted(reach.unable.items()):
            name = self.world.name_of(node)
            sums.unable.add(node=name, reason=error.reason, message=error.message)
        sums.cost.CopyFrom(self._cost(found, reach.place, sums.bytes))
        return found

    def _cost(
        self, writers: Sequence[NodeId], place: Domain | None, size_bytes: int
    ) -> job_pb2.Cost:
        """Of the way from the nodes to the bucket."""
        cost = job_pb2.Cost(prices_date=self.prices_date)
        share = size_bytes / len(writers)
        for node in writers if place is not None else ():
            domain = self.world.domain_of(node)
            assert place is not None
            if domain is None or domain.place == place.place:
                continue
            usd = share * self.readers.distances.egress_usd_per_gb(domain, place) / GB
            cost.planned_usd += usd
            cost.edges.add(from_cloud=domain.cloud, to_cloud=place.cloud, bytes=int(share), usd=usd)
        return cost

    async def _by(
        self, node: NodeId, request: export_pb2.ExportFilesRequest
    ) -> AsyncIterator[export_pb2.ExportFilesResponse]:
        if node == self.world.own:
            async for answer in self.writing.write(request):
                yield answer
            return
        call = ExportServiceStub(self.world.channel(node)).ExportFiles(request)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise decode(error, self.world.name_of(node)) from error
        finally:
            call.cancel()
