"""A volume that could not be opened: it is counted and explained, and serves nothing."""

from collections.abc import AsyncIterator, Sequence

from multicloud.errors import McError
from nodeagent.store import refusals
from nodeagent.store.contract import (
    FRESH_S,
    Damaged,
    Evidence,
    Health,
    Held,
    Pin,
    Put,
    Reading,
    Trashed,
    Verified,
    VolumeState,
)


class FailedStore:
    """`volume` is its uuid where that is known, else its folder."""

    def __init__(self, volume: str, why: str) -> None:
        self._volume = volume
        self._why = why

    @property
    def volume(self) -> str:
        return self._volume

    def health(self) -> Health:
        return Health(VolumeState.FAILED, self._why)

    def on_damage(self, callback: Damaged) -> None:
        """Nobody knows what it held."""

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        raise self._refusal()

    async def read(self, chunk_id: bytes) -> Reading:
        raise self._refusal()

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        return []

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        raise self._refusal()

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        raise self._refusal()

    async def unpin(self, holder: str) -> int:
        raise self._refusal()

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return []

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        raise self._refusal()

    async def revive(self, chunk_id: bytes) -> Held:
        raise self._refusal()

    async def purge(self, chunk_id: bytes) -> int:
        raise self._refusal()

    async def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        nothing: tuple[Held, ...] = ()
        for held in nothing:
            yield held

    async def stalest(self, count: int) -> Sequence[Held]:
        return []

    async def trashed(self) -> Sequence[Trashed]:
        return []

    async def evidence(self) -> Sequence[Evidence]:
        return []

    async def discard(self, name: str) -> None:
        raise self._refusal()

    async def close(self) -> None:
        """It is not open."""

    def _refusal(self) -> McError:
        refused = refusals.unwritable(self._volume, VolumeState.FAILED, self._why)
        assert refused is not None
        return refused
