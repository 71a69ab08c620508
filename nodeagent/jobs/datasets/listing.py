"""The files of a version in the order of their paths; with a delimiter those behind it are folded
into folders, and a folder with a million files costs no more than one of them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from multicloud.v1 import records_pb2
from nodeagent.jobs.datasets.manifest_reading import ManifestReading


@dataclass(frozen=True, slots=True)
class Found:
    """A file with its entries, or a folder, which has none."""

    path: bytes
    entries: list[records_pb2.ManifestFile]

    @property
    def behind(self) -> bytes:
        """Where a listing goes on: the first path that could come next."""
        return self.path + b"\0" if self.entries else _behind_all(self.path)


async def listed(
    manifest: ManifestReading, prefix: bytes, delimiter: bytes = b"", begin: bytes = b""
) -> AsyncIterator[Found]:
    """What begins with the prefix, from `begin` on."""
    again = True
    while again:
        again = False
        async for entries in _files(manifest, prefix, begin):
            path = entries[0].path
            cut = path.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                yield Found(path, entries)
                continue
            folder = Found(path[: cut + len(delimiter)], [])
            yield folder
            begin, again = folder.behind, bool(folder.behind)
            break


async def _files(
    manifest: ManifestReading, prefix: bytes, begin: bytes
) -> AsyncIterator[list[records_pb2.ManifestFile]]:
    entries: list[records_pb2.ManifestFile] = []
    async for entry in manifest.entries(max(prefix, begin)):
        if entries and entry.path != entries[0].path:
            yield entries
            entries = []
        if not entry.path.startswith(prefix):
            return
        entries.append(entry)
    if entries:
        yield entries


def _behind_all(prefix: bytes) -> bytes:
    """The first path behind all that begin so; nothing where there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b""
