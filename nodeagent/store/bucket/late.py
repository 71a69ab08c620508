"""A volume in a bucket that is opened while the node runs already: no start waits for a cloud, and
one that is away at the start is asked again until it answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from multicloud.errors import McError
from nodeagent.store import refusals
from nodeagent.store.bucket.store import BucketStore
from nodeagent.store.contract import Damaged, VolumeState
from nodeagent.store.failed import FailedStore
from nodeagent.store.wrap.around import Around

_log = structlog.stdlib.get_logger(__name__)
AGAIN_S = 15.0
TEND_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The failure domain of its copies."""

    uri: str
    cloud: str
    region: str


@dataclass(frozen=True, slots=True)
class Ready:
    store: BucketStore
    where: Whereabouts


class LateStore(Around):
    """`volume` is its uuid where that is known, else its URI until it is open."""

    def __init__(
        self, where: Whereabouts, volume: str, opening: Callable[[], Awaitable[Ready]]
    ) -> None:
        super().__init__(FailedStore(volume or where.uri, f"{where.uri} is not open yet"))
        self.where = where
        self._opening = opening
        self._open: BucketStore | None = None
        self._callbacks: list[Damaged] = []

    @property
    def folder(self) -> str:
        """What people know it by."""
        return self.where.uri

    def on_damage(self, callback: Damaged) -> None:
        self._callbacks.append(callback)
        if self._open is not None:
            self._open.on_damage(callback)

    @property
    def is_served(self) -> bool:
        return self.health().state is not VolumeState.FAILED

    async def trash(self, chunk_id: bytes, why: str) -> bool:
        """Of one that is not open nothing is known, and nobody waits for it."""
        if self._open is None:
            raise refusals.not_found(chunk_id, self.volume)
        return await super().trash(chunk_id, why)

    async def purge(self, chunk_id: bytes) -> int:
        return await super().purge(chunk_id) if self._open is not None else 0

    async def open(self) -> None:
        """One try."""
        try:
            ready = await self._opening()
        except McError as error:
            why = f"{error.message}; {error.next}" if error.next else error.message
            self.inner = FailedStore(self.volume, why)
            _log.warning(
                "bucket_not_opened",
                bucket=self.where.uri,
                reason=error.reason,
                why=error.message,
                next=error.next,
            )
            return
        self.inner = self._open = ready.store
        self.where = ready.where
        for callback in self._callbacks:
            ready.store.on_damage(callback)
        held = ready.store.health()
        _log.info("bucket_opened", bucket=self.where.uri, volume=self.volume, chunks=held.chunks)

    async def run(self) -> None:
        """Opens it and looks after it, until it is cancelled."""
        while True:
            if self._open is None:
                await self.open()
            else:
                await self._open.tend()
            await asyncio.sleep(TEND_EVERY_S if self._open is not None else AGAIN_S)
