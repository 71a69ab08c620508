"""What lies in a volume's folder, found by a walk at the start. Names and sizes count; the index
adds only when a chunk was stored and last checked, and what it misses is told as lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nodeagent.store.contract import Evidence, Held
from nodeagent.store.local.files import Files, Kind, Stat
from nodeagent.store.local.index import Known
from nodeagent.store.local.layout import SHELVES, AsideName, Paths, chunk_of, decode_aside
from nodeagent.store.local.table import Binned
from nodeagent.store.local.volume import Volume


@dataclass(slots=True)
class Found:
    living: list[Held] = field(default_factory=list)
    trash: dict[bytes, Binned] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)  # Older files in the trash of one chunk.
    evidence: list[Evidence] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    lost: list[Held] = field(default_factory=list)
    unknown: list[Held] = field(default_factory=list)  # The index does not know them so.


def walk(volume: Volume, known: Mapping[bytes, Known]) -> Found:
    found = Found()
    for shelf in SHELVES:
        folder = f"{volume.paths.chunks}/{shelf}"
        for name, path, stat in _entries(volume.files, volume.paths.chunks, folder):
            chunk_id = chunk_of(shelf, name)
            if chunk_id is None or stat.kind is not Kind.FILE:
                found.foreign[path] = _words(stat)
                continue
            held = _held(volume, chunk_id, stat, known, found)
            found.living.append(held)
            volume.unsynced.add(folder)
    _trash(volume, known, found)
    _quarantine(volume.files, volume.paths, found)
    here = {held.chunk_id for held in found.living} | found.trash.keys()
    here |= {evidence.chunk_id for evidence in found.evidence}
    for chunk_id, row in known.items():
        if chunk_id not in here:
            lost = (row.file_bytes, row.stored_unix_s, row.verified_unix_s)
            found.lost.append(volume.held(chunk_id, *lost))
    return found


def _trash(volume: Volume, known: Mapping[bytes, Known], found: Found) -> None:
    for name, path, stat in _entries(volume.files, volume.paths.folder, volume.paths.trash):
        aside = _aside(name, stat)
        if aside is None:
            found.foreign[path] = _words(stat)
            continue
        held = _held(volume, aside.chunk_id, stat, known, found)
        binned = Binned(held, name, aside.unix_ms / 1000, aside.why)
        other = found.trash.get(aside.chunk_id)
        if other is not None:  # A crash between two steps: the same bytes, the newer one counts.
            older, binned = sorted((other, binned), key=lambda one: one.trashed_unix_s)
            found.twice.append(f"{volume.paths.trash}/{older.name}")
        found.trash[aside.chunk_id] = binned


def _quarantine(files: Files, paths: Paths, found: Found) -> None:
    for name, path, stat in _entries(files, paths.folder, paths.quarantine):
        aside = decode_aside(name)
        if aside is None:
            found.foreign[path] = _words(stat)
            continue
        size = stat.size_bytes if stat.kind is Kind.FILE else 0
        unix_s = aside.unix_ms / 1000
        found.evidence.append(Evidence(aside.chunk_id, name, size, unix_s, aside.why))


def _entries(files: Files, parent: str, folder: str) -> Iterator[tuple[str, str, Stat]]:
    try:
        names = files.names(folder)
    except FileNotFoundError:  # Somebody removed it: puts need it.
        files.mkdir(folder)
        files.sync_folder(parent)
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            yield name, path, files.stat(path)
        except FileNotFoundError:
            continue  # Somebody took it away between the two looks.


def _held(
    volume: Volume, chunk_id: bytes, stat: Stat, known: Mapping[bytes, Known], found: Found
) -> Held:
    row = known.get(chunk_id)
    if row is not None and row.file_bytes == stat.size_bytes:
        return volume.held(chunk_id, stat.size_bytes, row.stored_unix_s, row.verified_unix_s)
    stored = stat.modified_unix_s or volume.clock()
    held = volume.held(chunk_id, stat.size_bytes, stored, 0.0)  # Never checked, for all we know.
    found.unknown.append(held)
    return held


def _aside(name: str, stat: Stat) -> AsideName | None:
    return decode_aside(name) if stat.kind is Kind.FILE else None


def _words(stat: Stat) -> str:
    return {
        Kind.FILE: "a file with another name",
        Kind.FOLDER: "a folder",
        Kind.OTHER: "neither file nor folder",
    }[stat.kind]
