"""A store on a local disk: the contract's promises by files that any tool can look at."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Envelope
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
)
from nodeagent.store.local.blame import Blame, blame, words
from nodeagent.store.local.committer import Committer
from nodeagent.store.local.condition import busy
from nodeagent.store.local.files import Files, RealFiles
from nodeagent.store.local.identity import hold_folder
from nodeagent.store.local.layout import Paths
from nodeagent.store.local.opening import Opened, open_volume
from nodeagent.store.local.reading import LocalReading, NotAFile, OpenFile
from nodeagent.store.local.works import Discard, Expel, Hold, Purge, Revive, Trash, Unpin
from nodeagent.store.local.writers import DIRECT_BYTES_MIN, Writers
from nodeagent.store.observer import Silent, StoreObserver

PAGE = 512
TRIES = 3  # A chunk may move between the table and the open.
JUST_CHECKED_S = 600.0


@dataclass(frozen=True, slots=True)
class LocalOptions:
    write: Literal["auto", "direct", "buffered"] = "auto"
    reserve_bytes: int = 1 << 30
    direct_bytes_min: int = DIRECT_BYTES_MIN  # Smaller files always go through the page cache.
    writers_max: int = 4
    readers_max: int = 4
    syncs_max: int = 1  # Folders that are synced at once; 1: one by one, in the order of names.
    look_every_s: float = 5.0  # After its disk: still there, still that one, how much room.


class LocalStore:
    def __init__(self, opened: Opened, options: LocalOptions, release: Callable[[], None]) -> None:
        self._volume = opened.volume
        self._table = opened.volume.table
        self._lost = [(held, "its file is gone since the last start") for held in opened.lost]
        self._release = release
        self._callbacks: list[Damaged] = []
        loop = asyncio.get_running_loop()
        self._syncers = ThreadPoolExecutor(options.syncs_max, thread_name_prefix="sync")
        if options.syncs_max > 1:
            self._volume.syncs_at_once = self._syncers
        self._committer = Committer(self._volume, loop, self._tell, options.look_every_s)
        self._writers = Writers(
            self._volume, self._committer, loop, options.writers_max, options.direct_bytes_min
        )
        self._readers = ThreadPoolExecutor(options.readers_max, thread_name_prefix="read")

    @classmethod
    async def open(
        cls,
        folder: str,
        *,
        node: str,
        options: LocalOptions = LocalOptions(),
        files: Files | None = None,
        clock: Callable[[], float] = time.time,
        observer: StoreObserver | None = None,
        expected: str = "",
        new_uuid: Callable[[], str] = lambda: str(uuid4()),
        hold: Callable[[str], Callable[[], None]] = hold_folder,
        index_path: str = "",
    ) -> "LocalStore":
        """The volume in that folder, a new one where the folder is empty and none is `expected`.

        `hold` and `index_path` are the two things that do not go through `files`: a lock of the
        folder, and the cache's database (":memory:" for none).
        """
        paths = Paths(folder.rstrip("/"))
        release = await asyncio.to_thread(hold, paths.folder)
        try:
            opened = await asyncio.to_thread(
                open_volume,
                paths,
                files or RealFiles(),
                node=node,
                expected=expected,
                new_uuid=new_uuid,
                clock=clock,
                observer=observer or Silent(),
                reserve_bytes=options.reserve_bytes,
                index_path=index_path or paths.index,
            )
        except BaseException:
            release()
            raise
        store = cls(opened, options, release)
        await store._writers.choose(options.write)
        return store

    @property
    def volume(self) -> str:
        return self._volume.uuid

    @property
    def folder(self) -> str:
        return self._volume.paths.folder

    @property
    def writes_direct(self) -> bool:
        """Past the page cache, as it was chosen at the start."""
        return self._writers.direct

    def health(self) -> Health:
        condition, table = self._volume.condition, self._table
        evidence = table.evidence()
        return Health(
            condition.state,
            self._why(),
            len(table),
            table.bytes_living,
            table.bytes_trash,
            condition.bytes_free,
            condition.bytes_total,
            len(evidence),
            table.oldest_check_unix_s,
        )

    def on_damage(self, callback: Damaged) -> None:
        self._callbacks.append(callback)
        for held, why in self._lost:
            callback(held, why)

    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        return await self._writers.put(file_bytes_max)

    async def read(self, chunk_id: bytes) -> Reading:
        file, held, envelope = await self._open(chunk_id)
        return LocalReading(file, held, envelope, self._readers, self._failed)

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]:
        found = (self._table.living(chunk_id) for chunk_id in chunk_ids)
        return [held for held in found if held is not None]

    async def have(
        self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float = FRESH_S
    ) -> list[Held]:
        asked = list(dict.fromkeys(chunk_ids))
        found: dict[bytes, Held] = {}
        rest = asked
        for _ in range(TRIES):
            good, stale = await self._committer.do(Hold(rest, pin, fresh_s))
            found.update((held.chunk_id, held) for held in good)
            rest = [held.chunk_id for held in stale if await self._is_good(held.chunk_id)]
            if not rest:
                break
            fresh_s = max(fresh_s, JUST_CHECKED_S)
        return [found[chunk_id] for chunk_id in asked if chunk_id in found]

    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified:
        file, held, envelope = await self._open(chunk_id)
        loop = asyncio.get_running_loop()
        try:
            proof = await loop.run_in_executor(self._readers, _read_all, file, envelope, nonce)
        except (OSError, McError) as error:
            raise await self._failed(file, held, error) from error
        finally:
            file.close()
        held = self._table.checked(held, self._volume.clock())
        if self._table.living(chunk_id) is held:
            self._volume.index.set(held)
        return Verified(held, proof)

    async def unpin(self, holder: str) -> int:
        return int(await self._committer.do(Unpin(holder)))

    async def pins(self, chunk_id: bytes) -> Sequence[Pin]:
        return self._volume.pins.of(chunk_id, self._volume.clock())

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        return bool(await self._committer.do(Trash(chunk_id, why)))

    async def revive(self, chunk_id: bytes) -> Held:
        held: Held = await self._committer.do(Revive(chunk_id))
        return held

    async def purge(self, chunk_id: bytes) -> int:
        return int(await self._committer.do(Purge(chunk_id)))

    async def list(self, after: bytes = b"") -> AsyncIterator[Held]:
        while page := self._table.after(after, PAGE):
            for held in page:
                yield held
            after = page[-1].chunk_id

    async def stalest(self, count: int) -> Sequence[Held]:
        return self._table.stalest(count)

    async def trashed(self) -> Sequence[Trashed]:
        every = self._table.trash()
        return [Trashed(binned.held, binned.trashed_unix_s, binned.why) for binned in every]

    async def evidence(self) -> Sequence[Evidence]:
        return self._table.evidence()

    async def discard(self, name: str) -> None:
        await self._committer.do(Discard(name))

    async def close(self) -> None:
        """Puts that run are aborted; what was asked before is done."""
        await self._writers.close()
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._committer.stop()
        self._syncers.shutdown()
        self._readers.shutdown()
        self._volume.index.close()
        self._volume.journal.close()
        self._release()

    # --- reading ---

    async def _open(self, chunk_id: bytes) -> tuple[OpenFile, Held, Envelope]:
        volume = self._volume
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            held, path = self._table.living(chunk_id), volume.paths.chunk(chunk_id)
            if held is None:
                if (binned := self._table.binned(chunk_id)) is None:
                    break
                held = binned.held
                if volume.condition.is_writable:
                    held = await self.revive(chunk_id)
                else:
                    path = f"{volume.paths.trash}/{binned.name}"
            try:
                return await loop.run_in_executor(self._readers, self._open_now, path, held)
            except FileNotFoundError as error:
                if self._table.living(chunk_id) is held:
                    raise await self._failed(None, held, error) from error
            except _Refused as refused:
                raise await self._failed(refused.file, held, refused.error) from refused.error
        raise refusals.not_found(chunk_id, volume.uuid)

    def _open_now(self, path: str, held: Held) -> tuple[OpenFile, Held, Envelope]:
        file = None
        try:
            file = OpenFile(self._volume.files, path)
            return file, held, file.envelope(held.chunk_id)
        except FileNotFoundError:
            raise
        except (OSError, McError, NotAFile) as error:
            if file is not None:
                file.close()
            raise _Refused(file, error) from error

    async def _failed(self, file: OpenFile | None, held: Held, error: Exception) -> McError:
        """What a failed read means for the chunk, and for who asked."""
        volume, readable = self._volume.uuid, True
        why = "something else stands in its place"
        if isinstance(error, McError):
            if error.reason != "DAMAGE":
                return error
            why = error.message
        elif isinstance(error, OSError):
            why = f"it cannot be read: {words(error)}"
            kind = blame(error)
            if kind is Blame.BUSY:
                return busy(volume, why)
            readable = kind is not Blame.FORBIDDEN
        inode = file.inode if file is not None else None
        if gone := isinstance(error, FileNotFoundError):
            why = "its file is gone"
        try:
            await self._committer.do(Expel(held, why, inode=inode, gone=gone, readable=readable))
        except McError as failed:
            return failed
        if gone:
            return refusals.not_found(held.chunk_id, volume, ", its file is gone")
        return refusals.damaged(held.chunk_id, volume, why)

    async def _is_good(self, chunk_id: bytes) -> bool:
        try:
            await self.verify(chunk_id)
        except McError as error:
            if error.reason not in ("DAMAGE", "NOT_FOUND"):
                raise
            return False
        return True

    def _tell(self, held: Held, why: str) -> None:
        self._volume.observer.count("mc.store.damage")
        for callback in self._callbacks:
            callback(held, why)

    def _why(self) -> str:
        volume = self._volume
        lost = volume.pins_lost
        pins = f"{lost} lines of the journal of pins did not read" if lost else ""
        said = (volume.condition.why, self._table.foreign_words(), volume.index.fault, pins)
        return "; ".join(one for one in said if one)


class _Refused(Exception):
    """Carries the file that was open when its opening failed."""

    def __init__(self, file: OpenFile | None, error: Exception) -> None:
        super().__init__(str(error))
        self.file = file
        self.error = error


def _read_all(file: OpenFile, envelope: Envelope, nonce: bytes) -> bytes:
    file.forget()  # Rot is on the disk; a copy in memory would hide it.
    proof = refusals.Proof(nonce)
    proof.add(envelope.header)
    for index in range(len(envelope.entries)):
        proof.add(file.frame(envelope, index))
    proof.add(envelope.trailer)
    return proof.digest()
