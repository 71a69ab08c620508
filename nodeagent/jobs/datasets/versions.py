"""Versions of datasets as the council decided them: found by name@version, removed, restored."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.council.contract import KEY, Council, Register

VERSIONS = "version/"
DATASETS = "dataset/"
RESTORE_WITHIN_S = 24 * 3600.0

Record = records_pb2.VersionRecord


@dataclass(slots=True)
class Versions:
    council: Council
    clock_unix_s: Callable[[], float] = time.time

    def all(self) -> Iterator[Record]:
        """By this node's copy, which may be seconds old: by name, the oldest version first."""
        return iter(sorted(map(_read, self.council.list(VERSIONS)), key=order))

    def of(self, name: str) -> list[Record]:
        found = map(_read, self.council.list(f"{VERSIONS}{name}/"))
        return sorted((one for one in found if one.name == name), key=order)

    async def find(self, name: str, version: str = "", *, removed: bool = False) -> Record:
        """The newest that stands when no version is named. What the copy does not have is asked
        for: it may have been decided just now. NOT_FOUND, saying what there is.
        """
        _check(name, version)
        here = self.of(name)
        if version:
            found = next((one for one in here if one.version == version), None)
            found = found or await self._decided(name, version)
        else:
            standing = [one for one in here if not one.removed_unix_ms]
            found = standing[-1] if standing else await self._newest(name)
        if found is None:
            raise self._unknown(name, version, here)
        if found.removed_unix_ms and not removed:
            raise self._removed(found)
        return found

    async def _decided(self, name: str, version: str) -> Record | None:
        register = await self.council.get(f"{VERSIONS}{name}/{version}")
        return _read(register) if register.version else None

    async def _newest(self, name: str) -> Record | None:
        """Of a dataset that this node's copy knows nothing of yet."""
        register = await self.council.get(DATASETS + name)
        if not register.version:
            return None
        last = records_pb2.DatasetRecord.FromString(register.value).last_version
        found = await self._decided(name, str(last)) if last else None
        return None if found is None or found.removed_unix_ms else found

    async def change(
        self, name: str, version: str, operation_id: str, edit: Callable[[Record], bool]
    ) -> Record:
        """Decides a change; `edit` says False where nothing is to be changed any more."""
        key = f"{VERSIONS}{name}/{version}"
        while True:
            register = await self.council.get(key)
            if not register.version:
                raise self._unknown(name, version, self.of(name))
            record = _read(register)
            if not edit(record):
                return record
            decided = await self.council.compare_and_set(
                key,
                register.version,
                record.SerializeToString(),
                f"{operation_id}-{register.version}",
            )
            if decided.changed:
                return record

    def can_be_restored(self, record: Record) -> bool:
        """Its chunks are kept so long."""
        since_s = self.clock_unix_s() - record.removed_unix_ms / 1000
        return not record.shredded and since_s < RESTORE_WITHIN_S

    def is_live(self, record: Record) -> bool:
        """It keeps its chunks."""
        return not record.removed_unix_ms or self.can_be_restored(record)

    def _unknown(self, name: str, version: str, here: Sequence[Record]) -> McError:
        which = f"{name}@{version}" if version else name
        standing = [one.version for one in here if not one.removed_unix_ms]
        if not standing:
            return McError("NOT_FOUND", f"there is no dataset {which}", next="mcctl datasets")
        said = f"there is no {which}; versions: {', '.join(standing)}"
        return McError("NOT_FOUND", said, next=f"mcctl ls {name}@{standing[-1]}")

    def _removed(self, record: Record) -> McError:
        which = f"{record.name}@{record.version}"
        if record.shredded:
            said, then = f"{which} was shredded: nobody can read it any more", "mcctl datasets"
        elif self.can_be_restored(record):
            said, then = f"{which} was removed", f"mcctl undelete {which}"
        else:
            said, then = f"{which} was removed more than a day ago", "mcctl datasets"
        return McError("NOT_FOUND", said, next=then)


def order(record: Record) -> tuple[str, int, str]:
    number = int(record.version) if record.version.isdecimal() else 0
    return record.name, number, record.version


def _check(name: str, version: str) -> None:
    if not KEY.fullmatch(f"{VERSIONS}{name}/{version or 1}"):
        shown = f"{name}@{version}" if version else name
        raise McError("NOT_FOUND", f"{shown[:100]!r} cannot be the name of a dataset")


def _read(register: Register) -> Record:
    return Record.FromString(register.value)
