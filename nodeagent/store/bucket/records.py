"""What the journal of a volume says, and what it means when it is read again. Pure.

Each record is a list whose first word is its kind. All but `own` may be heard twice.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from multicloud.errors import McError
from nodeagent.store.contract import Pin
from nodeagent.store.pins import Pins

Record = list[Any]


@dataclass(frozen=True, slots=True)
class Aside:
    """An object that is not served: in the trash, or evidence."""

    chunk_id: bytes
    key: str
    file_bytes: int
    unix_s: float
    why: str


def own(node: str, session: str, unix_s: float) -> Record:
    """From here on that node serves the volume; a session is one start of its daemon."""
    return ["own", node, session, unix_s]


def pin(chunk_id: bytes, pin: Pin) -> Record:
    return ["pin", chunk_id.hex(), pin.holder, pin.until_unix_s]


def unpin(holder: str) -> Record:
    return ["unpin", holder]


def trash(aside: Aside) -> Record:
    return ["trash", *_fields(aside)]


def revive(chunk_id: bytes) -> Record:
    return ["revive", chunk_id.hex()]


def damaged(name: str, aside: Aside) -> Record:
    return ["damaged", name, *_fields(aside)]


def discard(name: str) -> Record:
    return ["discard", name]


def doom(key: str) -> Record:
    """That object is to be deleted, and is no chunk any more."""
    return ["doom", key]


def gone(key: str) -> Record:
    return ["gone", key]


@dataclass(slots=True)
class State:
    """All that the journal says up to its last record."""

    owner: str = ""
    session: str = ""
    owned_unix_s: float = 0.0
    pins: Pins = field(default_factory=Pins)
    trash: dict[bytes, Aside] = field(default_factory=dict)
    evidence: dict[str, Aside] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)

    def hear(self, record: Record) -> None:
        match record:
            case ["own", str(node), str(session), unix_s]:
                self.owner, self.session, self.owned_unix_s = node, session, float(unix_s)
            case ["pin", str(chunk), str(holder), until]:
                self.pins.add(bytes.fromhex(chunk), Pin(holder, float(until)))
            case ["unpin", str(holder)]:
                self.pins.end(holder)
            case ["trash", *fields]:
                aside = _aside(fields)
                self.trash[aside.chunk_id] = aside
            case ["revive", str(chunk)]:
                # Its purge may stand before: one that was answered with an error.
                revived = self.trash.pop(bytes.fromhex(chunk), None)
                if revived is not None:
                    self.doomed.discard(revived.key)
            case ["damaged", str(name), *fields]:
                self.evidence[name] = _aside(fields)
            case ["discard", str(name)]:
                if (aside_ := self.evidence.pop(name, None)) is not None:
                    self.doomed.add(aside_.key)
            case ["doom", str(key)]:
                self.doomed.add(key)
            case ["gone", str(key)]:
                self.doomed.discard(key)
                self.trash = {c: a for c, a in self.trash.items() if a.key != key}
            case _:
                raise ValueError(f"of a kind that is not known: {record[:1]}")

    def records(self) -> Iterator[Record]:
        """That make this state out of an empty one."""
        yield own(self.owner, self.session, self.owned_unix_s)
        for chunk_id, one in self.pins.every():
            yield pin(chunk_id, one)
        for aside in self.trash.values():
            yield trash(aside)
        for name, aside in self.evidence.items():
            yield damaged(name, aside)
        for key in sorted(self.doomed):
            yield doom(key)


def encode(session: str, records: Sequence[Record]) -> bytes:
    """One object of the journal: who wrote it, its records, and a checksum of both."""
    body = json.dumps({"session": session, "records": records}, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(key: str, data: bytes) -> tuple[str, list[Record]]:
    """Who wrote it, and what it says."""
    try:
        said, body = int(data[:8], 16), data[9:-1]
        if zlib.crc32(body) == said:
            found = json.loads(body)
            return str(found["session"]), [list(record) for record in found["records"]]
    except (ValueError, KeyError, TypeError):
        pass
    raise McError("VOLUME_WRONG", f"{key} does not read as a word of its journal")


def _fields(aside: Aside) -> list[Any]:
    return [aside.chunk_id.hex(), aside.key, aside.file_bytes, aside.unix_s, aside.why]


def _aside(fields: list[Any]) -> Aside:
    chunk, key, file_bytes, unix_s, why = fields
    return Aside(bytes.fromhex(chunk), str(key), int(file_bytes), float(unix_s), str(why))
