"""What can be asked of a volume's committing thread: each with its renames, and what they mean."""

from collections.abc import Sequence
from contextlib import suppress

from multicloud.errors import McError
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.store import refusals
from nodeagent.store.contract import Committed, Held, Pin
from nodeagent.store.local.blame import words
from nodeagent.store.local.commit import Work
from nodeagent.store.local.files import Kind
from nodeagent.store.local.identity import check_same
from nodeagent.store.local.layout import decode_aside
from nodeagent.store.local.table import Binned
from nodeagent.store.local.volume import Volume
from nodeagent.store.pins import end_line, pin_line


class Place(Work):
    """A whole, synced file in tmp/ becomes the chunk; or goes, where a good one is already."""

    def __init__(self, draft: str, envelope: Envelope, pin: Pin | None, trace: str) -> None:
        super().__init__(trace, chunks=[envelope.chunk_id])
        self.unsettled = self.chunks
        self._draft = draft
        self._chunk_id = envelope.chunk_id
        self._file_bytes = envelope.file_bytes
        self._pin = pin
        self._already: Held | None = None

    def pin_lines(self, volume: Volume) -> list[bytes]:
        return [] if self._pin is None else [pin_line(self._chunk_id, self._pin)]

    def move(self, volume: Volume) -> None:
        self.into.add(volume.paths.shelf(self._chunk_id))
        here = volume.table.living(self._chunk_id)
        if here is not None and volume.is_fresh(here) and volume.stands(here):
            self._already = here
            if volume.paths.shelf(self._chunk_id) not in volume.unsynced:
                self.into.clear()
            return
        path = volume.paths.chunk(self._chunk_id)
        self._clear(volume, path)
        volume.files.rename(self._draft, path)

    def _clear(self, volume: Volume, path: str) -> None:
        """What stands in the way and is no chunk that can be read is kept, but elsewhere."""
        try:
            kind = volume.files.stat(path).kind
        except FileNotFoundError:
            return
        if kind is not Kind.FILE or volume.table.is_foreign(path):
            volume.quarantine(self._chunk_id, 0, path, "stood where a chunk belongs")
            self.into.add(volume.paths.quarantine)

    def settle(self, volume: Volume) -> None:
        if self._pin is not None:
            volume.pins.add(self._chunk_id, self._pin)
        if self._already is not None:
            self.result = Committed(self._already, already=True)
            volume.files.unlink(self._draft)
            return
        now = volume.clock()
        held = volume.held(self._chunk_id, self._file_bytes, now, now)
        volume.table.clear_foreign(volume.paths.chunk(self._chunk_id))
        volume.table.enter(held)
        volume.index.set(held)
        self.result = Committed(held, already=False)
        if (binned := volume.table.unbin(self._chunk_id)) is not None:
            volume.files.unlink(f"{volume.paths.trash}/{binned.name}")

    def give_up(self, volume: Volume) -> None:
        # A failed volume is not written any more; the next start empties tmp/.
        if volume.condition.is_writable:
            with suppress(FileNotFoundError):
                volume.files.unlink(self._draft)


class Hold(Work):
    """Pins those that are good; the answer: they, and those that must be checked first."""

    def __init__(self, chunk_ids: Sequence[bytes], pin: Pin, fresh_s: float) -> None:
        super().__init__(chunks=chunk_ids)
        self._chunk_ids = chunk_ids
        self._pin = pin
        self._fresh_s = fresh_s
        self._good: list[Held] = []
        self._stale: list[Held] = []

    def pin_lines(self, volume: Volume) -> list[bytes]:
        return [
            pin_line(chunk_id, self._pin)
            for chunk_id in self._chunk_ids
            if volume.table.living(chunk_id) or volume.table.binned(chunk_id)
        ]

    def move(self, volume: Volume) -> None:
        for chunk_id in self._chunk_ids:
            held = volume.table.living(chunk_id)
            if held is None and (binned := volume.table.binned(chunk_id)) is not None:
                held = _revive(volume, binned, self)
            if held is None:
                continue
            if not volume.is_fresh(held, self._fresh_s) or not volume.stands(held):
                self._stale.append(held)
                continue
            if (shelf := volume.paths.shelf(chunk_id)) in volume.unsynced:
                self.into.add(shelf)
            # At once: whoever trashes later in this very batch must see it.
            volume.pins.add(chunk_id, self._pin)
            self._good.append(held)

    def settle(self, volume: Volume) -> None:
        self.result = (self._good, self._stale)


class Trash(Work):
    def __init__(self, chunk_id: bytes, why: str) -> None:
        super().__init__(chunks=[chunk_id])
        self._chunk_id = chunk_id
        self._why = why

    def move(self, volume: Volume) -> None:
        held = volume.table.living(self._chunk_id)
        if held is None:
            if volume.table.binned(self._chunk_id) is None:
                raise refusals.not_found(self._chunk_id, volume.uuid)
            self.result = True
            return
        if volume.pins.of(self._chunk_id, volume.clock()):
            self.result = False
            return
        older = volume.table.binned(self._chunk_id)
        path, trash = volume.paths.chunk(self._chunk_id), volume.paths.trash
        try:
            name, unix_s = volume.put_aside(self._chunk_id, path, trash, self._why)
        except FileNotFoundError as error:
            _lose(volume, held, self, "its file is gone")
            raise refusals.not_found(self._chunk_id, volume.uuid, ", its file is gone") from error
        self.into.add(trash)
        self.out_of.add(volume.paths.shelf(self._chunk_id))
        kept = decode_aside(name)
        assert kept is not None
        volume.table.leave(self._chunk_id)
        volume.table.bin(Binned(held, name, unix_s, kept.why))
        if older is not None and older.name != name:  # Left by a crash, and the same bytes.
            volume.files.unlink(f"{trash}/{older.name}")
        self.result = True


class Revive(Work):
    def __init__(self, chunk_id: bytes) -> None:
        super().__init__(chunks=[chunk_id])
        self._chunk_id = chunk_id

    def move(self, volume: Volume) -> None:
        held = volume.table.living(self._chunk_id)
        if held is None and (binned := volume.table.binned(self._chunk_id)) is not None:
            held = _revive(volume, binned, self)
        if held is None:
            raise refusals.not_found(self._chunk_id, volume.uuid)
        self.result = held


class Purge(Work):
    def __init__(self, chunk_id: bytes) -> None:
        super().__init__(chunks=[chunk_id])
        self._chunk_id = chunk_id

    def move(self, volume: Volume) -> None:
        binned = volume.table.binned(self._chunk_id)
        self.result = 0
        if binned is None:
            return
        if volume.pins.of(self._chunk_id, volume.clock()):
            raise refusals.pinned(self._chunk_id, volume.uuid)
        if volume.table.living(self._chunk_id) is None:
            # First and for good: a row without its file would look like a loss at the next start.
            volume.index.remove(self._chunk_id)
            volume.index.flush(durably=True)
        with suppress(FileNotFoundError):
            volume.files.unlink(f"{volume.paths.trash}/{binned.name}")
            self.result = binned.held.file_bytes
        volume.table.unbin(self._chunk_id)
        self.out_of.add(volume.paths.trash)

    def settle(self, volume: Volume) -> None:
        volume.condition.look()


class Unpin(Work):
    def __init__(self, holder: str) -> None:
        super().__init__()
        self._holder = holder

    def pin_lines(self, volume: Volume) -> list[bytes]:
        return [end_line(self._holder)]

    def move(self, volume: Volume) -> None:
        self.result = volume.pins.end(self._holder)


class Discard(Work):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def move(self, volume: Volume) -> None:
        if self._name not in {evidence.name for evidence in volume.table.evidence()}:
            raise McError("NOT_FOUND", f"volume {volume.uuid} has no evidence {self._name}")
        path = f"{volume.paths.quarantine}/{self._name}"
        try:
            if volume.files.stat(path).kind is Kind.FOLDER:
                said = f"{path} is a folder, which is never removed by the store"
                raise McError("FAILED", said, next="look at it, then remove it by hand")
            volume.files.unlink(path)
        except FileNotFoundError:
            pass  # Somebody has removed it by hand: that is what was asked for.
        volume.table.drop(self._name)
        self.out_of.add(volume.paths.quarantine)


class Expel(Work):
    """A chunk that cannot be read as it must leaves the living: to quarantine, if it is a file.

    `inode` is of the file that was read: one that has come in its place since is left alone.
    Without one its open failed: it is `gone`, or not `readable`.
    """

    writes = False

    def __init__(
        self, held: Held, why: str, *, inode: int | None, gone: bool, readable: bool
    ) -> None:
        super().__init__(chunks=[held.chunk_id])
        self._held = held
        self._why = why
        self._inode = inode
        self._gone = gone
        self._readable = readable

    def move(self, volume: Volume) -> None:
        held = volume.table.living(self._held.chunk_id)
        if held is None or held.stored_unix_s != self._held.stored_unix_s:
            return
        path = volume.paths.chunk(held.chunk_id)
        try:
            found = volume.files.stat(path)
        except FileNotFoundError:
            _check_volume(volume)
            _lose(volume, held, self, self._why)
            return
        if self._gone or (self._inode is not None and found.inode != self._inode):
            return
        if found.kind is not Kind.FILE or not self._readable:
            volume.table.mark_foreign(path, self._why)
        elif volume.condition.is_writable:
            self._quarantine(volume, held.chunk_id, found.size_bytes, path)
        _lose(volume, held, self, self._why)

    def _quarantine(self, volume: Volume, chunk_id: bytes, file_bytes: int, path: str) -> None:
        try:
            volume.quarantine(chunk_id, file_bytes, path, self._why)
        except OSError as error:
            # It must not be served, wherever its file is.
            volume.condition.judge(error, "a damaged chunk cannot be put aside")
            return
        self.into.add(volume.paths.quarantine)
        self.out_of.add(volume.paths.shelf(chunk_id))


def _revive(volume: Volume, binned: Binned, work: Work) -> Held | None:
    chunk_id = binned.held.chunk_id
    volume.table.unbin(chunk_id)
    path = volume.paths.chunk(chunk_id)
    try:
        volume.files.rename(f"{volume.paths.trash}/{binned.name}", path)
    except FileNotFoundError:
        return None  # Removed by hand.
    except OSError:
        volume.table.bin(binned)
        raise
    volume.table.enter(binned.held)
    volume.index.set(binned.held)
    work.into.add(volume.paths.shelf(chunk_id))
    work.out_of.add(volume.paths.trash)
    return binned.held


def _lose(volume: Volume, held: Held, work: Work, why: str) -> None:
    volume.table.leave(held.chunk_id)
    volume.index.remove(held.chunk_id)
    work.told.append((held, why))


def _check_volume(volume: Volume) -> None:
    """A file that is gone may only mean that its disk is gone."""
    try:
        fault = check_same(volume.files, volume.paths, volume.uuid, volume.device)
    except OSError as error:
        fault = f"its identity cannot be read: {words(error)}"
    if fault:
        raise volume.condition.fail(fault)
