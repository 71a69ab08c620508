"""Removing versions: a decision, taken back within a day; shredding takes the key, for ever."""

from dataclasses import dataclass
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.jobs.datasets.reading import Reading
from nodeagent.jobs.datasets.versions import DATASETS, Record, Versions
from nodeagent.jobs.header import Headers, undecided


class Shredding(Protocol):
    async def shred(self, key_id: bytes, operation_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Freed:
    """What nothing else names; on disk until the trash is emptied."""

    chunks: int
    bytes: int  # As sealed, of one copy.


@dataclass(slots=True)
class Removing:
    versions: Versions
    reading: Reading
    keys: Shredding

    async def frees(self, name: str, version: str) -> Freed:
        """What removing it would free. An error where its manifest cannot be read."""
        record = await self.versions.find(name, version, removed=True)
        mine = await self._chunks(record)
        for other in self.versions.all():
            if self.versions.is_live(other) and _which(other) != _which(record):
                for chunk_id in await self._chunks(other):
                    mine.pop(chunk_id, None)
        return Freed(len(mine), sum(mine.values()))

    async def remove(self, name: str, version: str, operation_id: str, *, shred: bool) -> Record:
        record = await self.versions.find(name, version, removed=True)
        if shred:
            self._check_alone(record)
        elif record.removed_unix_ms:
            return record
        now_ms = int(self.versions.clock_unix_s() * 1000)

        def gone(value: Record) -> bool:
            if value.removed_unix_ms and value.shredded >= shred:
                return False
            value.removed_unix_ms = value.removed_unix_ms or now_ms
            value.shredded = value.shredded or shred
            return True

        decided = await self.versions.change(name, record.version, operation_id, gone)
        if shred:
            await self._shred(decided, operation_id)
        return decided

    async def restore(self, name: str, version: str, operation_id: str) -> Record:
        record = await self.versions.find(name, version, removed=True)

        def back(value: Record) -> bool:
            if not value.removed_unix_ms:
                return False
            if not self.versions.can_be_restored(value):
                why = "was shredded" if value.shredded else "was removed more than a day ago"
                said = f"{name}@{value.version} {why}, and does not come back"
                raise McError("FAILED", said, next="submit its source again")
            value.removed_unix_ms = 0
            return True

        return await self.versions.change(name, record.version, operation_id, back)

    def _check_alone(self, record: Record) -> None:
        """Versions of a dataset share its key: nobody loses one that still stands."""
        standing = [
            one.version
            for one in self.versions.of(record.name)
            if not one.removed_unix_ms
            and one.key_id == record.key_id
            and one.version != record.version
        ]
        if standing:
            said = f"{record.name}@{record.version} shares its key with version "
            then = f"remove those first: mcctl rm {record.name}@{standing[0]}"
            raise McError("FAILED", said + ", ".join(standing), next=then)
        headers = Headers(self.versions.council)
        for header in undecided(headers.all()):
            if header.value.spec.dataset == record.name:
                said = f"job {header.id} is writing into {record.name} with that key"
                raise McError("FAILED", said, next=f"mcctl cancel {header.id}, or wait for its end")

    async def _shred(self, record: Record, operation_id: str) -> None:
        """The dataset forgets its key first, so that a later submit makes a new one."""
        council, key = self.versions.council, DATASETS + record.name
        while True:
            register = await council.get(key)
            dataset = records_pb2.DatasetRecord.FromString(register.value)
            if not register.version or dataset.key_id != record.key_id:
                break
            dataset.key_id = b""
            value, operation = dataset.SerializeToString(), f"{operation_id}-{register.version}"
            if (await council.compare_and_set(key, register.version, value, operation)).changed:
                break
        for other in self.versions.of(record.name):
            if other.key_id == record.key_id and not other.shredded:
                await self.versions.change(
                    other.name, other.version, f"{operation_id}-{other.version}", _marked
                )
        await self.keys.shred(record.key_id, f"{operation_id}-key")

    async def _chunks(self, record: Record) -> dict[bytes, int]:
        found = {ref.id: ref.size_bytes for ref in record.manifest}
        if not record.shredded:
            manifest = await self.reading.manifest_of(record)
            async for chunk in manifest.chunks():
                found[chunk.id] = chunk.sealed_bytes
        return found


def _marked(record: Record) -> bool:
    if record.shredded:
        return False
    record.shredded = True
    return True


def _which(record: Record) -> tuple[str, str]:
    return record.name, record.version
