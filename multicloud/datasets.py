"""What readers of datasets share, whether they wait or await: names, files, ranges, and the check
of what came against the hashes that stand in the manifest.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blake3 import blake3

from multicloud.errors import McError

if TYPE_CHECKING:  # The classes of messages load slowly, and naming them needs none.
    from multicloud.v1 import read_pb2

SCHEME = "mc"
PAGE_SIZE = 1000
CREDIT_BYTES = 8 << 20  # What a node may send ahead of whoever reads on.
READ_S_MAX = 24 * 3600.0  # Of one range; a node that stands still is found out much sooner.
LISTING_S_MAX = 120.0  # A first look into a large manifest.


@dataclass(frozen=True, slots=True)
class Location:
    """`mc://name@version/path` taken apart. Without a version it is the newest one."""

    name: str
    version: str = ""
    path: str = ""

    @staticmethod
    def parse(text: str) -> "Location":
        which, _, path = text.removeprefix(f"{SCHEME}://").partition("/")
        name, at, version = which.partition("@")
        if not name or (at and not version):
            said = f"{text!r} is not like mc://NAME@VERSION/PATH"
            raise McError("USAGE", said, next="`mcctl datasets` lists names and versions")
        return Location(name, version, path)

    @property
    def path_bytes(self) -> bytes:
        return self.path.encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        which = f"{self.name}@{self.version}" if self.version else self.name
        return f"{SCHEME}://{which}/{self.path}"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a dataset. It never changes."""

    name: str
    version: str
    files: int
    chunks: int
    size_bytes: int
    created: datetime | None

    @staticmethod
    def of(one: "read_pb2.DatasetVersion") -> "Version":
        created = datetime.fromisoformat(one.created_time) if one.created_time else None
        return Version(one.name, one.version, one.files, one.chunks, one.bytes, created)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file that has a hash of its own."""

    size_bytes: int
    blake3: bytes


@dataclass(frozen=True, slots=True)
class File:
    """One file of one version. Bytes of its path that are no UTF-8 stand as `os.fsdecode` does."""

    name: str
    version: str
    path: str
    size_bytes: int
    etag: str  # Of its content: the same bytes, cut in the same way, have the same.
    modified: datetime | None
    records: int
    parts: tuple[Part, ...] = ()

    @staticmethod
    def of(version: Version, one: "read_pb2.DatasetFile") -> "File":
        unix_ms = one.modified_unix_ms
        return File(
            version.name,
            version.version,
            one.path.decode("utf-8", "surrogateescape"),
            one.bytes,
            one.blake3.hex(),
            datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else version.created,
            one.records,
            tuple(Part(part.size_bytes, part.blake3) for part in one.parts),
        )

    @property
    def location(self) -> Location:
        return Location(self.name, self.version, self.path)

    def __str__(self) -> str:
        return str(self.location)


def span(size_bytes: int, begin: int | None, end: int | None) -> tuple[int, int]:
    """As Python's slices have it: negative ones count from the end, nothing goes over it."""
    first, last, _ = slice(begin, end).indices(size_bytes)
    return first, max(first, last)


class Checked:
    """Follows the bytes of a range; each part that goes by as a whole is compared with its hash."""

    def __init__(self, file: File, begin: int) -> None:
        self._file, self._at, self._place = file, 0, 0
        while self._place < len(file.parts) and self._at < begin:
            self._at += file.parts[self._place].size_bytes
            self._place += 1
        self._skip = self._at - begin  # Until the first part that is read from its beginning.
        self._got, self._digest = 0, blake3()

    def fault_of(self, data: bytes) -> McError | None:
        """Of a part that ends in these bytes, which come behind those of the last call."""
        view = memoryview(data)
        skipped = min(max(0, self._skip), len(view))
        self._skip -= skipped
        view = view[skipped:]
        while view and self._place < len(self._file.parts):
            part = self._file.parts[self._place]
            some = view[: part.size_bytes - self._got]
            self._digest.update(some)
            self._got += len(some)
            view = view[len(some) :]
            if self._got == part.size_bytes and (wrong := self._end_of(part)):
                return wrong
        return None

    def _end_of(self, part: Part) -> McError | None:
        found, begin = self._digest.digest(), self._at
        self._at += part.size_bytes
        self._place += 1
        self._got, self._digest = 0, blake3()
        if not part.blake3 or found == part.blake3:
            return None
        return McError("DAMAGE", f"{self._file}: the part at byte {begin} is not what was written")
