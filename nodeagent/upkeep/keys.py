"""Which dataset keys exist: those of the node's keyring, while no council tells of any."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from nodeagent.store.keyring import Keyring


@dataclass(frozen=True, slots=True)
class KeyringKeys:
    keyring: Keyring | None  # None: a node that holds no keys.

    async def known(self) -> Collection[bytes] | None:
        if self.keyring is None:
            return None
        records = await asyncio.to_thread(self.keyring.records)
        return {record.key_id for record in records}
