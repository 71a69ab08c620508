"""The chunks of one disk, and a witness of whatever leaves it for ever."""

from collections.abc import Callable
from typing import Any

from nodeagent.store.memory import MemoryStore


class Shelf(MemoryStore):
    def __init__(self, volume: str, *, clock: Callable[[], float], judge: Any) -> None:
        super().__init__(volume, clock=clock)
        self._judge = judge

    def listen(self, process: Any) -> None:
        """Another process uses the disk now: whom the last one told is dead."""
        self._callbacks.clear()
        self._reserved_bytes = 0

    def keeps(self, chunk_id: bytes) -> bool:
        """The file is there, among the living or in the trash."""
        return chunk_id in self._living or chunk_id in self._trash

    def living(self) -> set[bytes]:
        return set(self._living)

    def pinned_by(self, chunk_id: bytes) -> list[str]:
        return [pin.holder for pin in self._pins.of(chunk_id, self._clock())]

    async def purge(self, chunk_id: bytes) -> int:
        freed = await super().purge(chunk_id)
        if freed:
            self._judge.purged(self, chunk_id)
        return freed
