"""Folders that all nodes can list: files by name, each with an etag for the bytes it has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from multicloud.errors import McError
from multicloud.v1 import task_pb2

CHUNK_BYTES = 1 << 20
PAGE_OBJECTS = 4


@dataclass
class MemorySource:
    """`memory://<folder>`; a folder never changes once it is listed."""

    rng: Random
    folders: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    away: str = ""

    def fill(self, folder: str, rng: Random) -> None:
        """Files of a chunk or two; some are those of another folder."""
        known = [item for files in self.folders.values() for item in files.items()]
        made: dict[str, tuple[int, str]] = {}
        for number in range(rng.randint(0, 9)):
            size = rng.choice((1, CHUNK_BYTES // 2, CHUNK_BYTES, CHUNK_BYTES + 7))
            made[f"f{number:02}"] = size, str(rng.randint(1, 3))
        if known:
            made |= dict(rng.sample(known, len(known) // 2))
        self.folders[folder] = dict(sorted(made.items()))

    async def open(
        self, job: str, uri: str, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> "Listed":
        if self.away:
            raise McError("SOURCE_AWAY", self.away)
        return Listed(self, self.folders[uri.removeprefix("memory://")])

    def nearness(self, job: str, uri: str, node: str) -> float:
        return 0.0


@dataclass
class Listed:
    source: MemorySource
    files: dict[str, tuple[int, str]]

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        if self.source.away:
            raise McError("SOURCE_AWAY", self.source.away)
        names = [name for name in sorted(self.files) if name > cursor]
        listed = names[:PAGE_OBJECTS]
        return task_pb2.ListingPage(
            objects=[
                task_pb2.ListedObject(
                    path=name.encode(), size_bytes=self.files[name][0], etag=self.files[name][1]
                )
                for name in listed
            ],
            cursor=listed[-1] if listed else cursor,
            last=len(listed) == len(names),
        )

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    async def close(self) -> None:
        """Nothing is open."""
