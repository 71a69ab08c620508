"""Files of servers that give no ranges, each fetched once to this disk and read from there."""

import asyncio
import os
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

KEPT_MAX = 4
Fetch = Callable[[], AsyncIterator[bytes]]


@dataclass(slots=True)
class _File:
    data: BinaryIO | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Spool:
    """Nameless files: whatever happens to the daemon, nothing of them is left."""

    folder: Path
    _files: OrderedDict[tuple[str, str], _File] = field(default_factory=OrderedDict)

    async def read(
        self, which: tuple[str, str], fetch: Fetch, offset_bytes: int, size_bytes: int
    ) -> bytes:
        kept = self._files.setdefault(which, _File())
        self._files.move_to_end(which)
        async with kept.turn:
            if kept.data is None:
                kept.data = await self._fetched(fetch)
            fd = kept.data.fileno()
            found = await asyncio.to_thread(os.pread, fd, size_bytes, offset_bytes)
        await self._shrink(KEPT_MAX)
        return found

    async def close(self) -> None:
        await self._shrink(0)

    async def _fetched(self, fetch: Fetch) -> BinaryIO:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        data: BinaryIO = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - It lives on.
        try:
            async for part in fetch():
                await asyncio.to_thread(data.write, part)
            await asyncio.to_thread(data.flush)
        except BaseException:
            data.close()
            raise
        return data

    async def _shrink(self, kept_max: int) -> None:
        while len(self._files) > kept_max:
            _, oldest = self._files.popitem(last=False)
            async with oldest.turn:  # Whoever reads it has read it.
                if oldest.data is not None:
                    oldest.data.close()
                    oldest.data = None
