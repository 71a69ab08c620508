"""Power cuts of a real ext4 under load: whatever moment is frozen, all that was told before it is
there. Needs root and a loop device.
"""

from pathlib import Path

import pytest

from nodeagent.store.local.files import RealFiles
from tests.crash import images
from tests.crash.asking import ask
from tests.crash.child import LOAD_FIRST, load_chunk
from tests.crash.ground import open_real
from tests.crash.owed import Owed, Word
from tests.crash.points import Found
from tests.support.disks import judge_folder

IMAGES = 100
PAUSE_S = 0.03
CHUNKS_MAX = 20_000
OPENED_EACH = 5
WEAKENS = (Word.ASK_TRASH, Word.ASK_PURGE, Word.ASK_UNPIN)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_images_of_a_disk_under_load_have_all_that_was_told(
    quick_folder: Path, tally: Found
) -> None:
    if why := images.why_not():
        pytest.skip(why)
    found = await search(quick_folder / "sound", IMAGES)
    tally.count += found.count
    assert not found.wrong, found.wrong[:20]
    assert found.count["images"] == IMAGES


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_images_show_a_store_that_does_not_sync(quick_folder: Path) -> None:
    if why := images.why_not():
        pytest.skip(why)
    assert (await search(quick_folder / "bug", IMAGES, "no datasync")).wrong


async def search(folder: Path, count: int, bug: str = "") -> Found:
    """Until something is wrong, or so many images were judged."""
    found, files = Found(), Files()
    folder.mkdir()
    for number, cut in enumerate(images.cuts(folder, count, PAUSE_S, bug)):
        owed = Owed()
        for fact in [*cut.before, *(fact for fact in cut.after if fact.word in WEAKENS)]:
            owed.hear(fact)
        with images.mounted(cut.image, folder / "cut") as disk:
            opened = number % OPENED_EACH == 0
            found.wrong += await wrong_on(disk / "volume", owed, files, opened)
        cut.image.unlink()
        found.count["images"] += 1
        found.count["images, opened"] += opened
        found.count["images, chunks owed"] += len(owed.kept)
        if found.wrong:
            break
    return found


async def wrong_on(volume: Path, owed: Owed, files: "Files", opened: bool) -> list[str]:
    verdict = judge_folder(volume)
    wrong = verdict.faults()
    known = files.of({*owed.kept, *owed.living, *verdict.living, *verdict.trash})
    wrong += owed.missing(verdict, known)
    if opened and not wrong:
        store = await open_real(RealFiles(), volume)
        try:
            wrong += await ask(store, owed, known)
        finally:
            await store.close()
    return wrong


class Files:
    """What the chunks of the load are, found by their ids."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._next = LOAD_FIRST

    def of(self, ids: set[bytes]) -> dict[bytes, bytes]:
        while not ids <= self._known.keys():
            assert self._next < LOAD_FIRST + CHUNKS_MAX, "a chunk that nobody has put"
            one = load_chunk(self._next)
            self._known[one.id] = one.file
            self._next += 1
        return {chunk_id: self._known[chunk_id] for chunk_id in ids}
