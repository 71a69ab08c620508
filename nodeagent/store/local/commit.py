"""The order of the steps that make things durable, for all that is asked of a volume at one time.

    0. each put's own thread has written, cut and datasynced its file in tmp/
    1. pins of all: appended to the journal, one datasync
    2. names of all: renames and unlinks
    3. each touched folder: one fsync
    4. the table says so, what was replaced is unlinked, and everyone is answered

After a sync that failed nothing of the batch is answered with yes, and nothing is tried again.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any

from multicloud.errors import McError
from nodeagent.store.contract import Held
from nodeagent.store.local.blame import words
from nodeagent.store.local.volume import Volume


class Work:
    """One thing that is asked of a volume. The steps run in its one committing thread."""

    writes = True  # False: it also has something to do where nothing may be written.

    def __init__(self, trace: str = "", *, chunks: Iterable[bytes] = ()) -> None:
        self.trace = trace
        self.chunks = frozenset(chunks)  # Those that it is about.
        # Those of which the table tells the truth only after `settle`: whatever else is asked
        # about them comes in a later batch.
        self.unsettled: frozenset[bytes] = frozenset()
        self.result: Any = None
        self.error: McError | None = None
        self.told: list[tuple[Held, str]] = []  # Who left the living unasked.
        self.into: set[str] = set()  # Folders that got a name,
        self.out_of: set[str] = set()  # and those that lost one.

    def pin_lines(self, volume: Volume) -> list[bytes]:
        """What the journal must hold before this is answered."""
        return []

    def move(self, volume: Volume) -> None:
        """Its renames. An OSError or a McError fails this work alone."""

    def settle(self, volume: Volume) -> None:
        """All of it is durable."""

    def give_up(self, volume: Volume) -> None:
        """It has failed: nothing half done may stay."""


def commit(volume: Volume, batch: Sequence[Work]) -> None:
    """Leaves in each work its result or its error."""
    with ExitStack() as steps:
        for work in batch:
            facts = {"batch": len(batch), "volume": volume.uuid}
            steps.enter_context(volume.observer.step(work.trace, "store.commit", **facts))
        _refuse_unwritable(volume, batch)
        _pins(volume, batch)
        _names(volume, batch)
        _folders(volume, batch)
        _settle(volume, batch)
    volume.observer.observe("mc.store.batch", len(batch))


def _refuse_unwritable(volume: Volume, batch: Sequence[Work]) -> None:
    for work in batch:
        if work.writes:
            try:
                volume.condition.check_writable()
            except McError as error:
                work.error = error


def _pins(volume: Volume, batch: Sequence[Work]) -> None:
    asked = [(work, lines) for work in _going(batch) if (lines := work.pin_lines(volume))]
    if not asked:
        return
    try:
        volume.journal.append([line for _, lines in asked for line in lines])
    except OSError as error:
        refused = volume.condition.judge(error, "the journal of pins cannot be written")
        for work, _ in asked:
            work.error = refused
        return
    _sync(volume, batch, volume.journal.sync, "pins")


def _names(volume: Volume, batch: Sequence[Work]) -> None:
    for work in _going(batch):
        try:
            work.move(volume)
        except McError as error:
            work.error = error
        except OSError as error:
            work.error = volume.condition.judge(error, "a file cannot be renamed")


def _folders(volume: Volume, batch: Sequence[Work]) -> None:
    """Where names went first: of a file between two folders, one name is always there."""
    going = _going(batch)
    into = {folder for work in going for folder in work.into}
    out_of = {folder for work in going for folder in work.out_of} - into
    for folders in (sorted(into), sorted(out_of)):
        if not folders:
            continue
        if not volume.condition.is_writable:
            _fail_all(volume, batch)
            return
        if not _sync(volume, batch, lambda: _sync_folders(volume, folders), "folders"):  # noqa: B023
            return
        volume.unsynced.difference_update(folders)


def _sync_folders(volume: Volume, folders: Sequence[str]) -> None:
    """At once: the disk's flushes for them merge, and one after the other they would not."""
    at_once = volume.syncs_at_once
    if at_once is None or len(folders) == 1:
        for folder in folders:
            volume.files.sync_folder(folder)
        return
    running = [at_once.submit(volume.files.sync_folder, folder) for folder in folders]
    failed = [error for one in running if (error := one.exception()) is not None]
    if failed:
        raise failed[0]


def _sync(volume: Volume, batch: Sequence[Work], call: Any, what: str) -> bool:
    started = perf_counter()
    try:
        call()
    except OSError as error:
        volume.condition.fail(f"an fsync ({what}) failed: {words(error)}")
        _fail_all(volume, batch)
        return False
    volume.observer.observe("mc.store.fsync", perf_counter() - started, what=what)
    return True


def _fail_all(volume: Volume, batch: Sequence[Work]) -> None:
    """Of what was under way nothing is known any more."""
    for work in _going(batch):
        try:
            volume.condition.check_writable()
        except McError as error:
            work.error = error


def _settle(volume: Volume, batch: Sequence[Work]) -> None:
    for work in batch:
        try:
            if work.error is None:
                work.settle(volume)
            else:
                work.give_up(volume)
        except OSError as error:
            # What was promised is durable; only what is not needed any more could not go.
            volume.condition.judge(error, "a file that is not needed cannot be unlinked")


def _going(batch: Sequence[Work]) -> list[Work]:
    return [work for work in batch if work.error is None]
