"""Stores as tests open them: on a real folder, or on a modelled disk with only the index, which is
a mere cache, in a real file.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from multicloud.errors import McError
from nodeagent.store.local.files import Files
from nodeagent.store.local.store import LocalOptions, LocalStore
from nodeagent.store.volumes import Volumes

NOW_S = 1_800_000_000.0
NODE = "00000000-0000-4000-8000-000000000001"
ROOT = "/volumes"  # Of modelled disks: no such folder is real.
NEVER_S = 3600.0  # What runs by the clock would make a scene's calls differ from run to run.
# A probe would write MiB and choose by time: scenes say themselves how they write.
OPTIONS = LocalOptions(write="buffered", reserve_bytes=0, writers_max=2, look_every_s=NEVER_S)
DIRECT = LocalOptions(
    write="direct", reserve_bytes=0, direct_bytes_min=0, writers_max=2, look_every_s=NEVER_S
)


async def open_real(files: Files, folder: Path) -> Volumes:
    store = await LocalStore.open(str(folder), node=NODE, options=OPTIONS, files=files)
    return Volumes([store])


class Ground:
    """Keeps indexes aside by a name, so that a store may find an older, a newer or none."""

    def __init__(self, folder: Path) -> None:
        self._index, self._aside = folder / "index", folder / "aside"
        self._index.mkdir()

    async def open(
        self, files: Files, volumes: Sequence[str], now_s: float, direct: bool = False
    ) -> Volumes:
        stores: dict[str, LocalStore] = {}
        try:
            for volume in volumes:
                stores[volume] = await self._open(files, volume, now_s, direct)
        except BaseException:
            for store in stores.values():
                await store.close()
            raise
        return Volumes([*stores.values()])

    async def _open(self, files: Files, volume: str, now_s: float, direct: bool) -> LocalStore:
        return await LocalStore.open(
            f"{ROOT}/{volume}" if volume else ROOT,
            node=NODE,
            options=DIRECT if direct else OPTIONS,
            files=files,
            clock=lambda: now_s,
            new_uuid=lambda: str(uuid5(NAMESPACE_URL, volume)),
            hold=lambda folder: _hold(files, folder),
            index_path=str(self._index / f"{volume or 'only'}.db"),
        )

    def keep(self, name: str) -> None:
        shutil.rmtree(self._aside / name, ignore_errors=True)
        shutil.copytree(self._index, self._aside / name)

    def put_back(self, name: str) -> None:
        """As it was kept; none, where nothing was."""
        self.clear()
        if (self._aside / name).exists():
            shutil.copytree(self._aside / name, self._index, dirs_exist_ok=True)

    def clear(self) -> None:
        for index in self._index.iterdir():
            index.unlink()


def _hold(files: Files, folder: str) -> Callable[[], None]:
    """Makes the folder, as the real one does. Nobody else knows a modelled disk."""
    try:
        if folder != ROOT and os.path.basename(folder) not in files.names(ROOT):
            files.mkdir(folder)
    except OSError as error:
        raise McError("VOLUME_FAILED", f"{folder} cannot be made: {error}") from error
    return lambda: None
