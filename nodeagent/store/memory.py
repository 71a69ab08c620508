"""A store in memory, for tests and for models: the promises of the contract without a disk."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from multicloud.errors import McError
from nodeagent.core.chunk import envelope as envelopes
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.core.chunk.layout import END, HEAD
from nodeagent.store import refusals
from nodeagent.store.contract import (
    FRESH_S,
    Committed,
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
from nodeagent.store.pins import Pins

BYTES_TOTAL = 1 << 30


@dataclass(slots=True)
class _File:
    held: Held
    data: bytearray


@dataclass(slots=True)
class _Aside:
    """A file in the trash or in quarantine."""

    file: _File
    unix_s: float
    why: str


class MemoryStore:
    def __init__(
        self, volume: str, *, clock: Callable[[], float], bytes_total: int = BYTES_TOTAL
    ) -> None:
        self._volume = volume
        self._clock = clock
        self._bytes_total = bytes_total
        self._living: dict[bytes, _File] = {}
        self._trash: dict[bytes, _Aside] = {}
        self._quarantine: dict[str, _Aside] = {}
        self._pins = Pins()
        self._reserved_bytes = 0
        self._state = VolumeState.HEALTHY
        self._why = ""
        self._callbacks: list[Damaged] = []

    @property
    def volume(self) -> str:
        return self._volume

    def set_state(self, state: VolumeState, why: str = "said so") -> None:
        """What a disk would do on its own."""
        self._state, self._why = state, why

    def spoil(self, chunk_id: bytes, offset_bytes: int = 0) -> None:
        """Flips a bit, as a bad disk does."""
        self._living[chunk_id].data[offset_bytes] ^= 1

    def lose(self, chunk_id: bytes) -> None:
        """The file is gone, and nobody was asked."""
        self._living[chunk_id].data.clear()

    def health(self) -> Health:
        used = sum(file.held.file_bytes for file in self._living.values())
        trash = sum(aside.file.held.file_bytes for aside in self._trash.values())
        aside = sum(len(aside.file.data) for aside in self._quarantine.values())
        free = max(0, self._bytes_total - used - trash - aside - self._reserved_bytes)
        full = self._state is VolumeState.HEALTHY and free == 0
        return Health(
            VolumeState.FULL if full else self._state,
            "no room is left" if full else self._why,
            len(self._living),
            used,
            trash,
            free,
            self._bytes_total,
            len(self._quarantine),
            min((file.held.verified_unix_s for file in self._living.values()), default=None),
        )

    def on_damage(self, callback: Damaged) -> None:
        self._callbacks.append(callback)

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        self._writable()
        free = self.health().bytes_free
        if free < file_bytes_max:
            why = f"has room for {free} bytes, and {file_bytes_max} are asked for"
            raise refusals.no_room(self._volume, why)
        self._reserved_bytes += file_bytes_max
        return _Put(self, file_bytes_max)

    def give_back(self, file_bytes_max: int) -> None:
        self._reserved_bytes -= file_bytes_max

    def place(self, data: bytearray, found: Envelope, pin: Pin | None) -> Committed:
        self._writable()
        now = self._clock()
        here = self._living.get(found.chunk_id)
        already = here is not None and bool(here.data) and _fresh(here.held, now, FRESH_S)
        if here is None or not already:
            self._trash.pop(found.chunk_id, None)
            held = Held(found.chunk_id, self._volume, len(data), now, now)
            here = self._living[found.chunk_id] = _File(held, data)
        self._pin(found.chunk_id, pin)
        return Committed(here.held, already)

    async def read(self, chunk_id: bytes) -> Reading:
        if chunk_id not in self._living and chunk_id in self._trash:
            await self.revive(chunk_id)
        file = self._living.get(chunk_id)
        if file is None:
            raise refusals.not_found(chunk_id, self._volume)
        return _Reading(self, file, self._open(file))

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        return [self._living[one].held for one in chunk_ids if one in self._living]

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        self._writable()
        found = []
        for chunk_id in dict.fromkeys(chunk_ids):
            if chunk_id in self._trash:
                await self.revive(chunk_id)
            try:
                file = self._living.get(chunk_id)
                if file is None:
                    continue
                if not file.data or not _fresh(file.held, self._clock(), fresh_s):
                    await self.verify(chunk_id)
            except McError as error:
                if error.reason not in ("DAMAGE", "NOT_FOUND"):
                    raise
                continue
            self._pin(chunk_id, pin)
            found.append(file.held)
        return found

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        reading = await self.read(chunk_id)
        proof = refusals.Proof(nonce)
        proof.add(reading.envelope.header)
        async for frame in reading.frames():
            proof.add(frame)
        proof.add(reading.envelope.trailer)
        file = self._living[chunk_id]
        file.held = replace(file.held, verified_unix_s=self._clock())
        return Verified(file.held, proof.digest())

    async def unpin(self, holder: str) -> int:
        self._writable()
        return self._pins.end(holder)

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return self._pins.of(chunk_id, self._clock())

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        self._writable()
        if chunk_id in self._trash:
            return True
        if chunk_id not in self._living:
            raise refusals.not_found(chunk_id, self._volume)
        if await self.pins(chunk_id):
            return False
        self._trash[chunk_id] = _Aside(self._living.pop(chunk_id), self._clock(), why)
        return True

    async def revive(self, chunk_id: bytes) -> Held:
        if chunk_id in self._trash:
            self._living[chunk_id] = self._trash.pop(chunk_id).file
        if chunk_id not in self._living:
            raise refusals.not_found(chunk_id, self._volume)
        return self._living[chunk_id].held

    async def purge(self, chunk_id: bytes) -> int:
        self._writable()
        if chunk_id not in self._trash:
            return 0
        if await self.pins(chunk_id):
            raise refusals.pinned(chunk_id, self._volume)
        return self._trash.pop(chunk_id).file.held.file_bytes

    async def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        for chunk_id in sorted(one for one in self._living if one > after):
            if (file := self._living.get(chunk_id)) is not None:
                yield file.held

    async def stalest(self, count: int) -> Sequence[Held]:
        held = (file.held for file in self._living.values())
        return sorted(held, key=lambda one: (one.verified_unix_s, one.chunk_id))[:count]

    async def trashed(self) -> Sequence[Trashed]:
        return [Trashed(one.file.held, one.unix_s, one.why) for one in self._trash.values()]

    async def evidence(self) -> Sequence[Evidence]:
        return [
            Evidence(one.file.held.chunk_id, name, len(one.file.data), one.unix_s, one.why)
            for name, one in self._quarantine.items()
        ]

    async def discard(self, name: str) -> None:
        self._writable()
        if self._quarantine.pop(name, None) is None:
            raise McError("NOT_FOUND", f"volume {self._volume} has no evidence {name}")

    async def close(self) -> None:
        """Nothing of it is needed any more."""

    def damage(self, file: _File, why: str) -> McError:
        """Into quarantine, unless another file has taken its place since."""
        chunk_id = file.held.chunk_id
        if self._living.get(chunk_id) is file:
            del self._living[chunk_id]
            if file.data:
                name = f"{chunk_id.hex()}.{len(self._quarantine)}.{self._clock():.3f}"
                self._quarantine[name] = _Aside(file, self._clock(), why)
            for callback in self._callbacks:
                callback(file.held, why)
        if not file.data:
            return refusals.not_found(chunk_id, self._volume, ", its file is gone")
        return refusals.damaged(chunk_id, self._volume, why)

    def _open(self, file: _File) -> Envelope:
        data = bytes(file.data)
        if not data:
            raise self.damage(file, "its file is gone")
        try:
            header = data[: envelopes.header_bytes_of(data[: HEAD.size])]
            trailer = data[-envelopes.trailer_bytes_of(data[-END.size :]) :]
            found = envelopes.parse(header, trailer, file.held.chunk_id)
            found.check_file(len(data))
        except McError as error:
            raise self.damage(file, error.message) from error
        return found

    def _pin(self, chunk_id: bytes, pin: Pin | None) -> None:
        if pin is not None:
            self._pins.add(chunk_id, pin)

    def _writable(self) -> None:
        refused = refusals.unwritable(self._volume, self._state, self._why)
        if refused is not None:
            raise refused


class _Put:
    def __init__(self, store: MemoryStore, file_bytes_max: int) -> None:
        self._store = store
        self._file_bytes_max = file_bytes_max
        self._data = bytearray()
        self._open = True

    async def write(self, data: Bytes) -> None:
        if not self._open:
            raise refusals.ended()
        if len(self._data) + len(data) > self._file_bytes_max:
            raise refusals.overfull(self._file_bytes_max)
        self._data += data

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        if not self._open:
            raise refusals.ended()
        await self.abort()
        if len(self._data) != envelope.file_bytes:
            size = len(self._data)
            raise refusals.other_size(envelope.chunk_id, size, envelope.file_bytes)
        return self._store.place(self._data, envelope, pin)

    async def abort(self) -> None:
        if self._open:
            self._open = False
            self._store.give_back(self._file_bytes_max)


class _Reading:
    def __init__(self, store: MemoryStore, file: _File, envelope: Envelope) -> None:
        self._store = store
        self._file = file
        self._envelope = envelope

    @property
    def held(self) -> Held:
        return self._file.held

    @property
    def envelope(self) -> Envelope:
        return self._envelope

    async def frames(self, first: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        end = len(self._envelope.entries) if count is None else first + count
        for index, entry in list(enumerate(self._envelope.entries))[first:end]:
            stop = entry.offset_bytes + entry.sealed_bytes
            frame = bytes(self._file.data[entry.offset_bytes : stop])
            try:
                self._envelope.check_frame(index, frame)
            except McError as error:
                raise self._store.damage(self._file, error.message) from error
            yield frame

    async def close(self) -> None:
        """Memory needs no closing."""


def _fresh(held: Held, now: float, fresh_s: float) -> bool:
    return 0 <= now - held.verified_unix_s < fresh_s
