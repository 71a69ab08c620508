"""A judge of a volume's folder that shares no code with the product: layout, leaves and ids by
docs/formats.md alone. It reads a folder of a real disk, or the files of a modelled one.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

MAGIC, END_MAGIC = b"\x89MCCHK\r\n", b"MCCHKEND"


@dataclass(frozen=True)
class Verdict:
    """What lies in one volume. Ids are those that the bytes prove, not those that names claim."""

    living: Mapping[bytes, bytes]  # Whole chunks under their own name: id to file.
    broken: Mapping[str, str]  # Files that stand for a chunk and are not that chunk: why.
    trash: Mapping[bytes, bytes]
    trash_broken: Mapping[str, str]
    quarantine: Mapping[str, bytes]
    unfinished: tuple[str, ...]  # What lies in tmp/.
    others: tuple[str, ...] = field(default=())  # In a chunks/xx folder, and no chunk by its name.
    pins: Mapping[bytes, frozenset[str]] = field(default_factory=dict)  # Holders, ended or not.

    def faults(self) -> list[str]:
        """What no crash may leave, in words."""
        every = [*self.broken.items(), *self.trash_broken.items()]
        return [f"{path} is visible and broken: {why}" for path, why in every]


def fault_of(file: bytes, chunk_id: bytes | None = None) -> str | None:
    """Why these bytes are not that chunk; None when they are."""
    if len(file) < 24 or file[:8] != MAGIC or file[-8:] != END_MAGIC:
        return "magic"
    header_size, level = struct.unpack_from(">HH", file, 8)
    (trailer_size,) = struct.unpack(">I", file[-12:-8])
    if not (12 <= header_size <= 1024 and level >= 1 and header_size + trailer_size < len(file)):
        return "sizes"
    header, trailer = file[:header_size], file[-trailer_size:]
    (count,) = struct.unpack_from(">I", trailer)
    extra = trailer_size - 4 - 36 * count - 12
    if not (1 <= count <= 1024 and 0 <= extra <= 1024):
        return "trailer"
    at = header_size
    for number in range(count):
        size, leaf = struct.unpack_from(">I32s", trailer, 4 + 36 * number)
        if blake3(file[at : at + size]).digest() != leaf:
            return f"frame {number}"
        at += size
    if at + trailer_size != len(file):
        return "file size"
    if chunk_id is not None and blake3(header + trailer).digest() != chunk_id:
        return "another chunk"
    return None


def id_of(file: bytes) -> bytes:
    """Of a file that has no fault."""
    (header_size,) = struct.unpack_from(">H", file, 8)
    (trailer_size,) = struct.unpack(">I", file[-12:-8])
    return blake3(file[:header_size] + file[-trailer_size:]).digest()


def judge(files: Mapping[str, bytes]) -> Verdict:
    """By paths relative to the volume's folder."""
    living: dict[bytes, bytes] = {}
    broken: dict[str, str] = {}
    trash: dict[bytes, bytes] = {}
    trash_broken: dict[str, str] = {}
    quarantine: dict[str, bytes] = {}
    unfinished: list[str] = []
    others: list[str] = []
    for path, data in files.items():
        top, _, rest = path.partition("/")
        if top == "chunks":
            named = _named(rest)
            if named is None:
                others.append(path)
            elif why := fault_of(data, named):
                broken[path] = why
            else:
                living[named] = data
        elif top == "trash":
            if why := fault_of(data):
                trash_broken[path] = why
            else:
                trash[id_of(data)] = data
        elif top == "quarantine":
            quarantine[path] = data
        elif top == "tmp":
            unfinished.append(path)
    return Verdict(
        living,
        broken,
        trash,
        trash_broken,
        quarantine,
        tuple(unfinished),
        tuple(others),
        pins_of(files.get("pins.journal", b"")),
    )


def pins_of(journal: bytes) -> dict[bytes, frozenset[str]]:
    """What its lines say one after the other; those whose checksum is wrong say nothing."""
    pins: dict[bytes, frozenset[str]] = {}
    for line in journal.split(b"\n"):
        if line[:8] != b"%08x" % zlib.crc32(line[9:]):
            continue
        match json.loads(line[9:]):
            case [holder]:
                pins = {chunk: holders - {holder} for chunk, holders in pins.items()}
            case [chunk, holder, _]:
                chunk_id = bytes.fromhex(chunk)
                pins[chunk_id] = pins.get(chunk_id, frozenset()) | {holder}
    return pins


def judge_folder(folder: Path) -> Verdict:
    """A real one. Links and whatever else is no plain file are not followed."""
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return judge(files)


def _named(rest: str) -> bytes | None:
    """The id in `xx/<64 hex digits>.chunk`, where xx are its first two."""
    shelf, _, name = rest.partition("/")
    stem = name.removesuffix(".chunk")
    if name == stem or len(stem) != 64 or not stem.startswith(shelf) or len(shelf) != 2:
        return None
    try:
        named = bytes.fromhex(stem)
    except ValueError:
        return None
    return named if named.hex() == stem else None
