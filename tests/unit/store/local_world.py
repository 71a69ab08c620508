"""A local store in a folder, opened and opened again, and what happens to its files."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nodeagent.store.contract import Held
from nodeagent.store.local.files import RealFiles, Room
from nodeagent.store.local.store import LocalOptions, LocalStore
from nodeagent.store.observer import StoreObserver
from tests.unit.store.faulty_files import FaultyFiles
from tests.unit.store.store_world import Clock

ROOM = Room(1 << 40, 1 << 39, 0, 0)
OPTIONS = LocalOptions(write="buffered", reserve_bytes=0)


class QuietDisk(RealFiles):
    """A disk that nobody else writes to: its room is what the store's own promises leave."""

    def room(self, path: str) -> Room:
        return ROOM


class LocalWorld:
    """One folder; `async with world.open() as store`."""

    def __init__(self, folder: Path, real: RealFiles | None = None) -> None:
        self.folder = folder
        self.clock = Clock()
        self.files = FaultyFiles(real or RealFiles())
        self.told: list[tuple[Held, str]] = []

    @asynccontextmanager
    async def open(
        self, options: LocalOptions = OPTIONS, observer: StoreObserver | None = None
    ) -> AsyncIterator[LocalStore]:
        store = await LocalStore.open(
            str(self.folder),
            node="node-1",
            options=options,
            files=self.files,
            clock=self.clock,
            observer=observer,
        )
        store.on_damage(lambda held, why: self.told.append((held, why)))
        try:
            yield store
        finally:
            await store.close()

    def path(self, chunk_id: bytes) -> Path:
        return path_of(self.folder, chunk_id)

    def drafts(self) -> list[str]:
        return os.listdir(self.folder / "tmp")


def path_of(folder: Path, chunk_id: bytes) -> Path:
    return folder / "chunks" / chunk_id.hex()[:2] / f"{chunk_id.hex()}.chunk"


def spoil(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes([old[0] ^ 1]))
