"""Opening a volume: who it is, what lies in it, and what a crash may have left to tidy up."""

from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError
from nodeagent.store.contract import Held
from nodeagent.store.local import identity
from nodeagent.store.local.blame import words
from nodeagent.store.local.condition import Condition
from nodeagent.store.local.files import Files
from nodeagent.store.local.index import open_index
from nodeagent.store.local.journal import PinJournal
from nodeagent.store.local.layout import Paths
from nodeagent.store.local.volume import Volume
from nodeagent.store.local.walk import walk
from nodeagent.store.observer import StoreObserver


@dataclass(frozen=True, slots=True)
class Opened:
    volume: Volume
    lost: list[Held]  # The index knows them, and no file is there.


def open_volume(
    paths: Paths,
    files: Files,
    *,
    node: str,
    expected: str,
    new_uuid: Callable[[], str],
    clock: Callable[[], float],
    observer: StoreObserver,
    reserve_bytes: int,
    index_path: str,
) -> Opened:
    """It blocks. What only writing would need may fail: then the volume opens for reading."""
    try:
        who = identity.enter(files, paths, node, expected, new_uuid)
        condition = Condition(who.uuid, files, paths.folder, reserve_bytes, observer)
        volume = Volume(
            uuid=who.uuid,
            node=node,
            files=files,
            paths=paths,
            clock=clock,
            observer=observer,
            condition=condition,
            index=open_index(index_path),
            journal=PinJournal(files, paths),
            device=files.stat(paths.folder).device,
        )
        condition.look()
        _empty_drafts(volume)
        _load_pins(volume)
        lost = _load_table(volume)
    except OSError as error:
        said = f"the volume in {paths.folder} cannot be opened: {words(error)}"
        raise McError("VOLUME_FAILED", said, facts={"folder": paths.folder}) from error
    return Opened(volume, lost)


def _empty_drafts(volume: Volume) -> None:
    """Puts that never ended. Nobody was told of them."""
    try:
        names = volume.files.names(volume.paths.drafts)
    except FileNotFoundError:
        volume.files.mkdir(volume.paths.drafts)
        return
    for name in names:
        try:
            volume.files.unlink(volume.paths.draft(name))
        except OSError as error:
            volume.condition.judge(error, f"{volume.paths.draft(name)} cannot be removed")


def _load_pins(volume: Volume) -> None:
    volume.pins, volume.pins_lost = volume.journal.load()
    volume.pins.forget_over(volume.clock())
    try:
        volume.journal.rewrite(volume.pins)
    except OSError as error:
        volume.condition.judge(error, "the journal of pins cannot be rewritten")


def _load_table(volume: Volume) -> list[Held]:
    found = walk(volume, volume.index.load())
    volume.table.fill(found.living)
    for binned in found.trash.values():
        volume.table.bin(binned)
    for evidence in found.evidence:
        volume.table.keep(evidence)
    for path, what in found.foreign.items():
        volume.table.mark_foreign(path, what)
    for held in found.unknown:
        volume.index.set(held)
    for held in found.lost:
        volume.index.remove(held.chunk_id)
    for path in found.twice:
        try:
            volume.files.unlink(path)
        except OSError as error:
            volume.condition.judge(error, f"{path} cannot be removed")
    return found.lost
