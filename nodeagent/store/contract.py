"""What every store of chunks promises, wherever it keeps them. One conformance suite proves it.

A store holds sealed chunks on one volume, and knows no key. Its promises:

- `commit` returns when bytes, name and pin are on stable storage; nobody sees the chunk before.
- Bytes that do not match their leaf are never returned; they are DAMAGE, the chunk leaves the
  living for quarantine, and whoever asked by `on_damage` hears of it.
- An fsync that failed is never tried again: the volume is FAILED, reads go on, puts are refused.
- Whoever is not served gets a typed reason, and nothing half done stays.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from nodeagent.core.chunk.envelope import Bytes, Envelope

FRESH_S = 24 * 3600.0  # A chunk that was read and checked so lately counts as good.


class VolumeState(Enum):
    """What a volume may still be used for."""

    HEALTHY = "healthy"
    FULL = "full"  # Above the watermark: reads, deletes and pins go on.
    READ_ONLY = "read only"
    FAILED = "failed"  # An fsync failed or the disk went away: not written before a restart.


@dataclass(frozen=True, slots=True)
class Health:
    state: VolumeState
    why: str = ""  # In plain words: why it is not healthy, or what lies there that is no chunk.
    chunks: int = 0
    bytes_used: int = 0  # By live chunks.
    bytes_trash: int = 0
    bytes_free: int = 0  # What may still be put here: free, less the reserve and running puts.
    bytes_total: int = 0
    quarantined: int = 0
    oldest_check_unix_s: float | None = None  # None: no chunk here.


@dataclass(frozen=True, slots=True)
class Held:
    """One chunk as its volume knows it."""

    chunk_id: bytes
    volume: str  # The volume's uuid: a wiped disk is another volume.
    file_bytes: int
    stored_unix_s: float
    verified_unix_s: float  # When every byte was last read and checked, or checked on arrival.


@dataclass(frozen=True, slots=True)
class Trashed:
    held: Held
    trashed_unix_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A damaged file, kept until enough good copies are proven elsewhere."""

    chunk_id: bytes
    name: str  # Of the file; one chunk can be damaged more than once.
    file_bytes: int
    found_unix_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Pin:
    """Keeps a chunk from the trash for whoever `holder` is: a job, or a promise to a peer."""

    holder: str
    until_unix_s: float = field(default=0.0)  # 0: until it is unpinned.


@dataclass(frozen=True, slots=True)
class Committed:
    held: Held
    already: bool  # It was here before, good and fresh; what was written now is dropped.


@dataclass(frozen=True, slots=True)
class Verified:
    held: Held
    proof: bytes  # BLAKE3 of the whole file, keyed with the nonce.


# Called in the store's loop, after a chunk left the living because it is damaged or lost.
Damaged = Callable[[Held, str], None]


class Put(Protocol):
    """One chunk on its way in. It ends by `commit` or `abort`; the second end does nothing."""

    async def write(self, data: Bytes) -> None:
        """The next bytes of the file. Waits while too many wait for the disk.

        What can change (a bytearray, a view of one) is copied; `bytes` are only referred to.
        """
        ...

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        """What was written is that chunk, header to trailer, checked by whoever wrote it here.

        A chunk in trash, in quarantine, or not checked for a day is replaced by this one.
        """
        ...

    async def abort(self) -> None:
        """Leaves nothing behind."""
        ...


class Reading(Protocol):
    """An open chunk. A trash pass or a delete does not disturb it."""

    @property
    def held(self) -> Held: ...
    @property
    def envelope(self) -> Envelope: ...
    def frames(self, first: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Sealed frames, each checked against its leaf before it is yielded."""
        ...

    async def close(self) -> None: ...


class Store(Protocol):
    @property
    def volume(self) -> str: ...

    def health(self) -> Health:
        """What is known now, without asking the disk."""
        ...

    def on_damage(self, callback: Damaged) -> None:
        """Hears of every chunk that leaves the living unasked, also of those found at the start."""
        ...

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        """Reserves room. With an id, which is only a hint, some stores write without a copy."""
        ...

    async def read(self, chunk_id: bytes) -> Reading:
        """Also from the trash, which revives it. NOT_FOUND when it is neither here nor there."""
        ...

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        """The living among them as last known: nothing is read, revived or pinned."""
        ...

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        """Those that are durable and good here, pinned on disk before this returns.

        What lies in trash is revived; what was not checked within `fresh_s` is checked now.
        """
        ...

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        """Reads every byte now."""
        ...

    async def unpin(self, holder: str) -> int: ...

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        """Those that hold now."""
        ...

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        """Out of the living, still on disk. False when it is pinned; NOT_FOUND when not here."""
        ...

    async def revive(self, chunk_id: bytes) -> Held: ...

    async def purge(self, chunk_id: bytes) -> int:
        """Unlinks it from the trash, and from nowhere else; the bytes that became free.

        PINNED when a pin came meanwhile.
        """
        ...

    def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        """The living in order of their ids; what comes or goes meanwhile may be missed."""
        ...

    async def stalest(self, count: int) -> Sequence[Held]:
        """Those whose check is longest ago."""
        ...

    async def trashed(self) -> Sequence[Trashed]: ...

    async def evidence(self) -> Sequence[Evidence]: ...

    async def discard(self, name: str) -> None:
        """One piece of evidence is needed no more."""
        ...

    async def close(self) -> None: ...
