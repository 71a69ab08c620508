"""The datasets of a cluster, for programs with an event loop."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.datasets import LISTING_S_MAX, PAGE_SIZE, Checked, File, Location, Version, span
from multicloud.errors import McError
from multicloud.streaming import read
from multicloud.v1 import read_pb2
from multicloud.v1.read_pb2_grpc import DatasetServiceStub


class AsyncCluster:
    """`async with multicloud.connect_async() as cluster:`"""

    def __init__(self, context: str | None = None, nodes: Sequence[str] = ()) -> None:
        self._client = Client(Contexts().load(context), nodes)

    async def __aenter__(self) -> "AsyncCluster":
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def versions(self, name: str = "") -> list[Version]:
        """Of one dataset, or of all: by name, the oldest version first."""
        found: list[Version] = []
        request = read_pb2.ListDatasetsRequest(page_size=PAGE_SIZE)
        while True:
            page = await self._client.stub(DatasetServiceStub).ListDatasets(request)
            found += [Version.of(one) for one in page.versions if name in ("", one.name)]
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def version(self, where: str) -> Version:
        """`name@version`, or the newest one of `name`."""
        wanted = Location.parse(where)
        request = read_pb2.GetVersionRequest(name=wanted.name, version=wanted.version)
        return Version.of((await self._client.stub(DatasetServiceStub).GetVersion(request)).version)

    async def files(self, where: str, page_size: int = PAGE_SIZE) -> AsyncIterator[File]:
        """Those whose path begins with what stands behind `name@version/`, in order."""
        wanted, version = Location.parse(where), await self.version(where)
        request = read_pb2.ListFilesRequest(
            name=version.name,
            version=version.version,
            prefix=wanted.path_bytes,
            page_size=page_size,
        )
        stub = self._client.stub(DatasetServiceStub)
        while True:
            page = await stub.ListFiles(request, timeout=LISTING_S_MAX)
            for one in page.files:
                yield File.of(version, one)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def file(self, where: str) -> File:
        """NOT_FOUND where there is none of that very path."""
        wanted = Location.parse(where)
        async for file in self.files(where, page_size=1):
            if file.path == wanted.path:
                return file
            break
        raise McError("NOT_FOUND", f"there is no file {wanted}", next=f"mcctl ls {wanted.name}")

    async def read(self, where: str, begin: int | None = None, end: int | None = None) -> bytes:
        """Its bytes, or those of a range; negative ones count from the end, as in slices."""
        return b"".join([data async for data in self.stream(where, begin, end)])

    async def stream(
        self, where: str, begin: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """As they come: memory does not grow with the file."""
        file = await self.file(where)
        first, last = span(file.size_bytes, begin, end)
        checked, path = Checked(file, first), file.location.path_bytes
        pieces = read(self._client, file.name, file.version, path, first, last - first)
        async for data in pieces:
            if wrong := checked.fault_of(data):
                raise wrong
            yield data
