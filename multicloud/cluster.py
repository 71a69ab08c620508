"""The datasets of a cluster, for programs: versions, files and their bytes, without an event loop.

Nothing is dialled before it is needed. What is pickled is the context's name, never a key.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from multicloud.context import Contexts
from multicloud.datasets import LISTING_S_MAX, PAGE_SIZE, File, Location, Version, span
from multicloud.errors import McError
from multicloud.links import Link
from multicloud.opened import OpenFile
from multicloud.ranges import pieces, whole
from multicloud.v1 import read_pb2

CALL_S_MAX = 10.0
AT_ONCE = 8  # Ranges of a batch.
REMEMBERED_MAX = 4096  # Files; a version never changes, so neither do they.

Asked = TypeVar("Asked")
Given = TypeVar("Given")


class Cluster:
    """`multicloud.connect()`. Threads may share it; pickled or forked it connects anew."""

    def __init__(self, context: str | None = None, nodes: Sequence[str] = ()) -> None:
        self._context, self._nodes = context, tuple(nodes)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._known: OrderedDict[Location, File] = OrderedDict()

    def __reduce__(self) -> tuple[type["Cluster"], tuple[Any, ...]]:
        return Cluster, (self._context, self._nodes)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Whatever is used afterwards connects again."""
        if self._link is not None:
            self._link.close()

    @property
    def link(self) -> Link:
        if self._link is None:
            link = Link(Contexts().load(self._context), self._nodes)
            with self._lock:
                self._link = self._link or link
        return self._link

    # -- What there is

    def versions(self, name: str = "") -> list[Version]:
        """Of one dataset, or of all: by name, the oldest version first."""
        found: list[Version] = []
        request = read_pb2.ListDatasetsRequest(page_size=PAGE_SIZE)
        while True:
            page = self.link.run(lambda stub: stub.ListDatasets(request, timeout=CALL_S_MAX))
            found += [Version.of(one) for one in page.versions if name in ("", one.name)]
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def version(self, where: str) -> Version:
        """`name@version`, or the newest one of `name`."""
        wanted = Location.parse(where)
        request = read_pb2.GetVersionRequest(name=wanted.name, version=wanted.version)
        answer = self.link.run(lambda stub: stub.GetVersion(request, timeout=CALL_S_MAX))
        return Version.of(answer.version)

    def files(self, where: str) -> Iterator[File]:
        """Those whose path begins with what stands behind `name@version/`, in order."""
        wanted, version = Location.parse(where), self.version(where)
        for page in self._pages(version, wanted.path_bytes):
            yield from (self._remember(File.of(version, one)) for one in page.files)

    def children(self, where: str) -> Iterator[File | str]:
        """What lies right there: files, and paths of folders, which end in `/`."""
        wanted, version = Location.parse(where), self.version(where)
        for page in self._pages(version, wanted.path_bytes, b"/"):
            yield from (self._remember(File.of(version, one)) for one in page.files)
            yield from (path.decode("utf-8", "surrogateescape") for path in page.folders)

    def _pages(
        self, version: Version, prefix: bytes, delimiter: bytes = b"", page_size: int = PAGE_SIZE
    ) -> Iterator[read_pb2.ListFilesResponse]:
        request = read_pb2.ListFilesRequest(
            name=version.name,
            version=version.version,
            prefix=prefix,
            delimiter=delimiter,
            page_size=page_size,
        )
        while True:
            page = self.link.run(lambda stub: stub.ListFiles(request, timeout=LISTING_S_MAX))
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def file(self, where: str) -> File:
        """NOT_FOUND where there is none of that very path."""
        wanted = Location.parse(where)
        with self._lock:
            known = self._known.get(wanted)
        if known is not None:
            return known
        version = self.version(where)
        page = next(self._pages(version, wanted.path_bytes, page_size=1))
        if not page.files or page.files[0].path != wanted.path_bytes:
            said = f"{version} has no file {wanted.path!r}"
            raise McError("NOT_FOUND", said, next=f"mcctl ls {version}")
        return self._remember(File.of(version, page.files[0]))

    def _remember(self, file: File) -> File:
        with self._lock:
            self._known[file.location] = file
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return file

    # -- Bytes

    def open(self, where: str) -> OpenFile:
        """The file, as `open(path, "rb")` would give it."""
        return OpenFile(self, self.file(where))

    def read(self, where: str, begin: int | None = None, end: int | None = None) -> bytes:
        """Its bytes, or those of a range; negative ones count from the end, as in slices."""
        file = self.file(where)
        return self.read_file(file, *span(file.size_bytes, begin, end))

    def read_ranges(
        self, ranges: Iterable[tuple[str, int | None, int | None]], at_once: int = AT_ONCE
    ) -> list[bytes]:
        """Many ranges of any files, several at the same time; in the order asked for."""
        return self.at_once(lambda one: self.read(*one), ranges, at_once)

    def at_once(
        self, work: Callable[[Asked], Given], each: Iterable[Asked], at_once: int = AT_ONCE
    ) -> list[Given]:
        with ThreadPoolExecutor(at_once, "multicloud-read") as threads:
            return list(threads.map(work, each))

    def read_file(self, file: File, begin: int, end: int) -> bytes:
        return whole(self.link, file, begin, end)

    def pieces(self, file: File, begin: int, end: int) -> Iterator[bytes]:
        """As they come: memory does not grow with the file."""
        return pieces(self.link, file, begin, end)
