"""Which dataset keys exist: those of the node's keyring, and those that the council decided."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from nodeagent.core.chunk.key_record import KeyRecord
from nodeagent.store.keyring import Keyring


class Records(Protocol):
    def records(self) -> Iterable[KeyRecord]: ...


@dataclass(frozen=True, slots=True)
class KeyringKeys:
    keyring: Keyring | None  # None: a node that holds no keys.
    decided: list[Records] = field(default_factory=list)  # Kept in memory.

    async def known(self) -> Collection[bytes] | None:
        if self.keyring is None:
            return None
        records = await asyncio.to_thread(self.keyring.records)
        every = [*records, *(one for known in self.decided for one in known.records())]
        return {record.key_id for record in every}
