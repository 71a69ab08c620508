"""What this node reads itself: folders of its own under the roots of the configuration, and laptops
that have a stream to it.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from multicloud.errors import McError
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.jobs.contract import Found, Source
from nodeagent.jobs.sources.direct import DirectSources
from nodeagent.jobs.sources.files import FileSource
from nodeagent.jobs.sources.parts import in_parts
from nodeagent.jobs.sources.streams import Laptops
from nodeagent.jobs.sources.together import check
from nodeagent.jobs.sources.uris import DIRECT, LAPTOP, SourceName, parse

OPEN_MAX = 64  # Listings of others that go on; the one unused for longest begins anew.


@dataclass(slots=True)
class StreamSource:
    """A laptop's files over the streams that it has to this node."""

    laptops: Laptops
    ref: source_pb2.SourceRef

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        stream = self.laptops.needed(self.ref.job, self.ref.source)
        return await stream.page(cursor, objects_max, self.ref.include, self.ref.exclude)

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        async def part(offset_bytes: int, size_bytes: int) -> bytes:
            stream = self.laptops.needed(self.ref.job, self.ref.source)
            return await stream.read(asked.path, asked.etag, offset_bytes, size_bytes)

        return await in_parts(part, offset_bytes, size_bytes)

    async def read_several(self, wanted: Sequence[task_pb2.TaskInput]) -> Sequence[Found]:
        check(wanted)
        return await self.laptops.needed(self.ref.job, self.ref.source).read_several(wanted)

    async def close(self) -> None:
        """The streams are the laptop's."""


@dataclass(slots=True)
class OwnSources:
    node: str  # This node's name, for people.
    is_own: Callable[[str], bool]  # Whether a name or id is this node's.
    roots: Callable[[], Sequence[Path]]
    laptops: Laptops
    threads: ThreadPoolExecutor
    direct: DirectSources
    _open: OrderedDict[bytes, FileSource] = field(default_factory=OrderedDict)

    def has(self, ref: source_pb2.SourceRef) -> bool:
        """Whether it can be read here. NOT_ALLOWED when it is here and nobody may read it."""
        name = parse(ref.source)
        if name.kind == LAPTOP:
            return self.laptops.stream(ref.job, ref.source) is not None
        if not self.is_own(name.host):
            return False
        self._root_of(name)
        return True

    async def open(self, ref: source_pb2.SourceRef) -> "FileSource | StreamSource":
        """For a caller that closes it."""
        name = parse(ref.source)
        if name.kind == LAPTOP:
            self.laptops.needed(ref.job, ref.source)
            return StreamSource(self.laptops, ref)
        if not self.is_own(name.host):
            said = f"{ref.source} is not on the node {self.node}"
            raise McError("NOT_FOUND", said)
        return await self._folder(name, ref)

    async def listed(self, ref: source_pb2.SourceRef) -> Source:
        """To give pages of it to others, of what they cannot list themselves."""
        direct = parse(ref.source).kind in DIRECT
        return await (self.direct.open(ref) if direct else self.kept(ref))

    async def kept(self, ref: source_pb2.SourceRef) -> "FileSource | StreamSource":
        """For other nodes, which come again: a listing goes on where it stood."""
        if parse(ref.source).kind == LAPTOP:
            return await self.open(ref)
        key = ref.SerializeToString(deterministic=True)
        found = self._open.get(key)
        if found is None:
            opened = await self.open(ref)
            assert isinstance(opened, FileSource)
            found = self._open.setdefault(key, opened)
        else:
            self._root_of(parse(ref.source))  # It may have been taken off the roots.
        self._open.move_to_end(key)
        while len(self._open) > OPEN_MAX:
            _, oldest = self._open.popitem(last=False)
            await oldest.close()
        return found

    async def _folder(self, name: SourceName, ref: source_pb2.SourceRef) -> FileSource:
        root, inner = self._root_of(name)
        return await FileSource.opened(
            inner, self.threads, tuple(ref.include), tuple(ref.exclude), root
        )

    def _root_of(self, name: SourceName) -> tuple[bytes, bytes]:
        """The root that a path is beneath, and the path from there."""
        path = os.path.normpath(name.path)
        for root in map(os.fsencode, self.roots()):
            if path == root or path.startswith(root.rstrip(b"/") + b"/"):
                return root, path[len(root) :].lstrip(b"/")
        raise McError(
            "NOT_ALLOWED",
            f"{os.fsdecode(path)} is beneath none of the folders that jobs may read on {self.node}",
            next=f"name the folder in [source] roots of {self.node}, then "
            f"`mcctl config reload {self.node}`",
        )

    async def close(self) -> None:
        for source in self._open.values():
            await source.close()
        self._open.clear()
        self.threads.shutdown(wait=False, cancel_futures=True)
