"""Whoever uses the store in a scene: writes down in the disk's log what was asked and answered."""

from collections import Counter
from collections.abc import Awaitable, Callable

from multicloud.errors import McError
from nodeagent.store.contract import Committed, Pin, Put
from nodeagent.store.volumes import Volumes
from tests.crash.owed import Fact, Word
from tests.support.chunks import FRAME, Chunk, seal

Note = Callable[[Fact], None]


def chunk(number: int, frames: int = 1) -> Chunk:
    """Bytes that no other chunk has, on no round border."""
    size = FRAME * frames - 700 + number % 600
    turn = bytes((number * 31 + at * 7) % 251 for at in range(251))
    plain = (turn * (size // len(turn) + 1))[:size]
    return seal(plain, salt=number.to_bytes(32, "big"))


class Caller:
    """Goes on after every refusal, as a node does; what is no McError goes through."""

    def __init__(self, store: Volumes, note: Note, files: dict[bytes, bytes]) -> None:
        self.store = store
        self._note = note
        self._files = files  # What every chunk that was ever written has to be.
        self.refused: Counter[str] = Counter()

    async def put(self, one: Chunk, holder: str = "") -> Committed | None:
        self._files[one.id] = one.file
        put: Put | None = None
        try:
            put = await self.store.put(len(one.file), one.id)
            for part in (one.header, *one.frames, one.trailer):
                await put.write(part)
            done = await put.commit(one.envelope(), Pin(holder) if holder else None)
        except McError as error:
            self.refused[error.reason] += 1
            if put is not None:
                await put.abort()
            return None
        self._note(Fact(Word.STORED, one.id, holder))
        return done

    async def start_and_abort(self, one: Chunk) -> None:
        self._files[one.id] = one.file
        try:
            put = await self.store.put(len(one.file))
            try:
                await put.write(one.header + one.frames[0])
            finally:
                await put.abort()
        except McError as error:
            self.refused[error.reason] += 1

    async def have(self, one: Chunk, holder: str) -> bool:
        try:
            found = await self.store.have([one.id], Pin(holder))
        except McError as error:
            self.refused[error.reason] += 1
            return False
        if found:
            self._note(Fact(Word.LIVING, one.id, holder))
        return bool(found)

    async def unpin(self, holder: str) -> None:
        self._note(Fact(Word.ASK_UNPIN, holder=holder))
        await self._ask(self.store.unpin, holder)

    async def trash(self, one: Chunk) -> None:
        self._note(Fact(Word.ASK_TRASH, one.id))
        try:
            done = await self.store.trash(one.id, "the test wants it")
            self._note(Fact(Word.TRASHED if done else Word.KEPT, one.id))
        except McError as error:
            self.refused[error.reason] += 1

    async def revive(self, one: Chunk) -> None:
        if await self._ask(self.store.revive, one.id):
            self._note(Fact(Word.LIVING, one.id))

    async def purge(self, one: Chunk) -> None:
        self._note(Fact(Word.ASK_PURGE, one.id))
        await self._ask(self.store.purge, one.id)

    async def verify(self, one: Chunk) -> None:
        await self._ask(self.store.verify, one.id)

    async def discard_evidence(self) -> None:
        for one in await self.store.evidence():
            self._note(Fact(Word.ASK_DISCARD))
            await self._ask(self.store.discard, one.name)

    async def read(self, chunk_id: bytes) -> bytes | None:
        """All of it, or nothing; never other bytes."""
        try:
            reading = await self.store.read(chunk_id)
            try:
                found = reading.envelope
                frames = [frame async for frame in reading.frames()]
            finally:
                await reading.close()
        except McError as error:
            self._refuse(error, chunk_id)
            return None
        data = found.header + b"".join(frames) + found.trailer
        assert data == self._files[chunk_id], "the store gave out other bytes than were put"
        return data

    async def _ask(self, call: Callable[..., Awaitable[object]], what: object) -> bool:
        try:
            await call(what)
        except McError as error:
            self._refuse(error, what if isinstance(what, bytes) else b"")
            return False
        return True

    def _refuse(self, error: McError, chunk_id: bytes) -> None:
        self.refused[error.reason] += 1
        if error.reason == "DAMAGE" and chunk_id:
            self._note(Fact(Word.DAMAGED, chunk_id))
