"""The keyring as the council decides it: register `key/<id>` holds the record that a file of the
folder keyring holds, so every node has every key. That of a shredded key holds nothing, for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from multicloud.errors import McError
from nodeagent.core.chunk.key_record import KeyRecord, decode, encode
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey
from nodeagent.store.keyring import check_same, opened

KEYS = "key/"


class Register(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def value(self) -> bytes: ...


class Decided(Protocol):
    @property
    def value(self) -> bytes: ...
    @property
    def changed(self) -> bool: ...


class Registers(Protocol):
    """What this asks of the council."""

    async def get(self, key: str) -> Register: ...
    async def compare_and_set(
        self, key: str, expected_version: int, value: bytes, operation_id: str
    ) -> Decided: ...
    def list(self, prefix: str = "") -> Sequence[Register]: ...


@dataclass(frozen=True, slots=True)
class CouncilKeyring:
    registers: Registers
    cluster_keys: Mapping[
        int, ClusterKey
    ]  # Those of this node, by version; none: it reads nothing.

    def known(self, key_id: bytes) -> KeyRecord | None:
        """By this node's copy, which may be old."""
        name = _name(key_id)
        found = [one for one in self.registers.list(name) if one.key == name]
        return _record(found[0]) if found else None

    def records(self) -> Iterable[KeyRecord]:
        """All of this node's copy."""
        found = (_record(register) for register in self.registers.list(KEYS))
        return tuple(record for record in found if record is not None)

    async def find(self, key_id: bytes) -> KeyRecord | None:
        """What the copy does not have is asked for: it may have been decided just now."""
        record = self.known(key_id)
        return record if record else _record(await self.registers.get(_name(key_id)))

    async def key(self, key_id: bytes) -> DatasetKey:
        """KEY_MISSING where it was shredded, or this node has no cluster key that opens it."""
        if not self.cluster_keys:
            said = "this node only stores: it has no cluster key, and reads nothing"
            raise McError("KEY_MISSING", said, next="ask another node, with --node")
        return opened(await self.find(key_id), key_id, self.cluster_keys)

    async def put(self, record: KeyRecord, operation_id: str) -> None:
        """Decides a new record, or the same key wrapped in another way."""
        name = _name(record.key_id)
        while True:
            register = await self.registers.get(name)
            known = _record(register)
            if known == record:
                return
            if register.version and known is None:
                raise McError("KEY_MISSING", f"key {record.key_id.hex()} was shredded, for ever")
            check_same(known, record)
            decided = await self.registers.compare_and_set(
                name, register.version, encode(record), f"{operation_id}-{register.version}"
            )
            if decided.changed:
                return

    async def shred(self, key_id: bytes, operation_id: str) -> bool:
        """No node gives it out any more; False when it was shredded before. Nothing takes it back.

        Copies follow within seconds, those of nodes that are away when they return.
        """
        name = _name(key_id)
        while True:
            register = await self.registers.get(name)
            if register.version and not register.value:
                return False
            decided = await self.registers.compare_and_set(
                name, register.version, b"", f"{operation_id}-{register.version}"
            )
            if decided.changed:
                return True


def _name(key_id: bytes) -> str:
    return KEYS + key_id.hex()


def _record(register: Register) -> KeyRecord | None:
    if not register.value:
        return None
    record = decode(register.value, f"register {register.key}")
    if _name(record.key_id) != register.key:
        said = f"register {register.key} holds the record of {record.key_id.hex()}"
        raise McError("DAMAGE", said, next="put it back from a backup of the council")
    return record
