"""Records of a tar: samples as WebDataset means them, files next to each other whose names differ
only behind the first dot. A sample belongs to the range that holds its first header's first byte.

Headers are walked from the start of the archive: nothing inside tells where one begins. Only
headers are read on the way, so a range in the middle costs one small read for each file before it.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, cast

from nodeagent.core.pipeline.source import Source, broken

BLOCK = 512
READ_AHEAD_BYTES = 1 << 16
NAMELESS = "__data__"  # The column of a file whose name has no dot.
NOT_DATA = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
}


@dataclass(slots=True)
class Sample:
    key: str
    offset_bytes: int
    size_bytes: int = 0
    files: dict[str, bytes] = field(default_factory=dict)  # What stands behind the dot: content.


@dataclass(frozen=True, slots=True)
class NoSample:
    """A member that holds no data that could be used."""

    offset_bytes: int
    name: str
    why: str


def samples(
    source: Source, begin: int, end: int, *, sample_bytes_max: int
) -> Iterator[Sample | NoSample]:
    """Those of a range, in order."""
    walk = _Walk(source)
    at: Sample | None = None
    too_big = ""
    for member in walk.members():
        if not member.isreg():
            if begin <= member.offset < end and not member.isdir():
                what = NOT_DATA.get(member.type, "of an unknown type")
                yield NoSample(member.offset, member.name, f"{member.name} is {what}, no data")
            continue
        key, kind = key_and_kind(member.name)
        if at is None or at.key != key or kind in at.files:
            if at is not None and at.files and begin <= at.offset_bytes < end:
                yield NoSample(at.offset_bytes, at.key, too_big) if too_big else at
            if member.offset >= end:
                return
            at, too_big = Sample(key, member.offset), ""
        at.size_bytes += member.size
        if at.size_bytes > sample_bytes_max:
            too_big = f"its files have more than {sample_bytes_max} bytes together"
        keep = begin <= at.offset_bytes < end and not too_big
        at.files[kind] = walk.content(member) if keep else b""
    if at is not None and at.files and begin <= at.offset_bytes < end:
        yield NoSample(at.offset_bytes, at.key, too_big) if too_big else at


def key_and_kind(name: str) -> tuple[str, str]:
    """dir/cat.seg.png is the file seg.png of dir/cat."""
    folder, slash, base = name.rpartition("/")
    front, dot, kind = base.partition(".")
    if not front or not dot or not kind:
        return name, NAMELESS
    return f"{folder}{slash}{front}", kind


class _Walk:
    """tarfile reads names, pax and GNU extensions and sparse maps; what it lets pass is checked."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._file = _Seekable(source)
        self._tar: tarfile.TarFile | None = None

    def members(self) -> Iterator[tarfile.TarInfo]:
        try:
            self._tar = tar = tarfile.TarFile(fileobj=cast("IO[bytes]", self._file), mode="r")
            while (member := tar.next()) is not None:
                stored_end = member.offset_data + _stored_bytes(member)
                if stored_end > self._source.size_bytes:
                    raise broken(f"{member.name} goes on behind the end of the archive")
                yield member
                vars(tar)["members"] = []  # Else every header would be kept.
        except (tarfile.TarError, OverflowError, ValueError, EOFError) as error:
            raise broken(f"it is no tar archive that can be read: {error}") from error
        # tarfile takes a damaged header behind the first one for the end.
        at = tar.offset
        if at < self._source.size_bytes and any(self._source.read(at, BLOCK)):
            raise broken(f"the header at byte {at} is damaged")

    def content(self, member: tarfile.TarInfo) -> bytes:
        assert self._tar is not None
        reader = self._tar.extractfile(member)
        assert reader is not None, "a regular file"
        try:
            data = reader.read()
        except (tarfile.TarError, OverflowError, ValueError) as error:
            raise broken(f"{member.name} cannot be read: {error}") from error
        if len(data) != member.size:
            raise broken(f"{member.name} has {len(data)} bytes, not {member.size}")
        return data


def _stored_bytes(member: tarfile.TarInfo) -> int:
    """Of its data in the archive; a sparse file's size is what it has when it is unpacked."""
    sparse: list[tuple[int, int]] | None = getattr(member, "sparse", None)
    if sparse:
        return sum(size for _, size in sparse)
    return int(member.size)


class _Seekable:
    """A source as the file that tarfile asks for, with a small look ahead over headers."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0
        self._ahead, self._ahead_at = b"", 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0, "tarfile seeks from the start only"
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._source.size_bytes - self._at)
        size = left if size < 0 else min(size, left)
        inside = self._at - self._ahead_at
        if not (inside >= 0 and inside + size <= len(self._ahead)):
            if size > READ_AHEAD_BYTES:
                data = self._source.read(self._at, size)
                self._at += len(data)
                return data
            self._ahead = self._source.read(self._at, min(READ_AHEAD_BYTES, left))
            self._ahead_at, inside = self._at, 0
        data = self._ahead[inside : inside + size]
        self._at += len(data)
        return data

    def close(self) -> None:
        return None
