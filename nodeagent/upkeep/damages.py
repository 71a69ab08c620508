"""Chunks damaged or lost here and not repaired yet, on disk: no restart forgets one."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from multicloud.errors import McError
from multicloud.files import write_secret


@dataclass(frozen=True, slots=True)
class Damage:
    chunk_id: bytes
    volume: str
    file_bytes: int
    found_unix_s: float
    why: str
    lost: bool = False  # No good copy was found anywhere when it was last looked for.


class Damages:
    """In memory at once, on disk when `save` has returned."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[bytes, Damage] = {}
        self.changed = asyncio.Event()  # Since the last save.

    async def load(self) -> None:
        known = await asyncio.to_thread(_read, self._path)
        self._open = self._open | known  # The first finding counts.

    @property
    def open(self) -> Mapping[bytes, Damage]:
        return self._open

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self._open.values())

    def add(self, damage: Damage) -> None:
        """The first finding of a chunk stays: the time since then is what counts."""
        self._open.setdefault(damage.chunk_id, damage)
        self.changed.set()

    def set_lost(self, chunk_id: bytes, lost: bool) -> bool:
        """True when that is news."""
        one = self._open.get(chunk_id)
        if one is None or one.lost == lost:
            return False
        self._open[chunk_id] = replace(one, lost=lost)
        self.changed.set()
        return True

    def close(self, chunk_id: bytes) -> None:
        self._open.pop(chunk_id, None)
        self.changed.set()

    async def save(self) -> None:
        self.changed.clear()
        try:
            await asyncio.to_thread(_write, self._path, dict(self._open))
        except McError:
            self.changed.set()
            raise


def _read(path: Path) -> dict[bytes, Damage]:
    try:
        listed = json.loads(path.read_text())
        found = [_damage(one) for one in listed]
    except FileNotFoundError:
        return {}
    except OSError as error:
        said = f"the list of damaged chunks cannot be read from {path}: {error.strerror}"
        raise McError("FAILED", said, next=f"mend the rights of {path.parent}") from error
    except (ValueError, TypeError, KeyError) as error:
        said = f"{path} does not hold a list of damaged chunks"
        remedy = "delete it: the next scrub finds again what is damaged"
        raise McError("DAMAGE", said, next=remedy) from error
    return {one.chunk_id: one for one in found}


def _damage(fields: Mapping[str, Any]) -> Damage:
    return Damage(**{**fields, "chunk_id": bytes.fromhex(fields["chunk_id"])})


def _write(path: Path, known: Mapping[bytes, Damage]) -> None:
    listed = [asdict(one) | {"chunk_id": one.chunk_id.hex()} for one in known.values()]
    write_secret(path, json.dumps(listed, indent=1).encode())
