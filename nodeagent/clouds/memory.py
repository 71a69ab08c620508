"""Buckets in memory: all promises of the contract without a cloud, for tests and for models."""

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from nodeagent.clouds import refusals
from nodeagent.clouds.contract import (
    Abilities,
    AtOnce,
    Bucket,
    Object,
    Page,
    Place,
    Shape,
    Turns,
)
from nodeagent.clouds.parts import parts_of, ranges

T = TypeVar("T")


@dataclass(slots=True)
class Upload:
    key: str
    begun_unix_s: float
    data: bytearray = field(default_factory=bytearray)


class MemoryBucket:
    """`objects` and `uploads` are open to tests: what another user of the bucket does."""

    def __init__(
        self,
        place: Place,
        *,
        region: str = "nowhere-1",
        clock: Callable[[], float] = time.time,
        shape: Shape | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._place = place
        self._region = region
        self._clock = clock
        self._shape = shape or Shape()
        self._turns = turns or AtOnce()
        self._generation = 0
        self.objects: dict[str, tuple[Object, bytes]] = {}
        self.uploads: list[Upload] = []

    @property
    def place(self) -> Place:
        return self._place

    @property
    def region(self) -> str:
        return self._region

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        behind = (cursor or after).encode()

        def listed() -> Page:
            keys = sorted(k.encode() for k in self.objects if k.startswith(prefix))
            left = [key for key in keys if key > behind]
            found = [self.objects[key.decode()][0] for key in left[: self._shape.page_keys]]
            more = len(left) > len(found)
            return Page(found, found[-1].key if more else "")

        return await self._take("List", listed)

    async def head(self, key: str) -> Object:
        return await self._take("Head", lambda: self._at(key)[0])

    async def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        for at, size in ranges(first, count, self._shape.part_bytes) or [(first, 0)]:

            def piece(at: int = at, size: int = size) -> bytes:
                held, data = self._at(key)
                if held.pin != pin:
                    raise refusals.changed(self._place, key, pin)
                found = data[at : at + size]
                if len(found) != size:
                    raise refusals.other_size(self._place, key, size, len(found))
                return found

            data = await self._take("Get", piece, size)
            if data:
                yield data

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        upload = Upload(key, self._clock())
        self.uploads.append(upload)
        try:
            cut = parts_of(self._place, key, parts, size_bytes, self._shape.part_bytes)
            async for part in cut:
                await self._take("Part", lambda part=part: upload.data.extend(part), len(part))  # type: ignore[misc]
            return await self._take("Put", lambda: self._finish(upload, absent))
        finally:
            if upload in self.uploads:
                self.uploads.remove(upload)

    async def delete(self, key: str) -> None:
        await self._take("Delete", lambda: self.objects.pop(key, None))

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        before_s = self._clock() - older_than_s
        old = [u for u in self.uploads if u.key.startswith(prefix) and u.begun_unix_s <= before_s]
        self.uploads = [upload for upload in self.uploads if upload not in old]
        return len(old)

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        await self._take("List", lambda: None)
        return Abilities(True, True, True, True)

    async def close(self) -> None:
        pass

    def _at(self, key: str) -> tuple[Object, bytes]:
        if key not in self.objects:
            raise refusals.not_found(self._place, key)
        return self.objects[key]

    def _finish(self, upload: Upload, absent: bool) -> Object:
        if absent and upload.key in self.objects:
            raise refusals.exists(self._place, upload.key)
        assert upload in self.uploads, "it was swept while it went on"
        self._generation += 1
        data = bytes(upload.data)
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        made = Object(upload.key, len(data), f"g{self._generation}", self._clock(), (("md5", md5),))
        self.objects[upload.key] = made, data
        return made

    async def _take(self, name: str, work: Callable[[], T], size_bytes: int = 0) -> T:
        async def call() -> T:
            return work()

        done: Awaitable[T] = self._turns.take(name, call, size_bytes)
        return await done


class MemoryClouds:
    """The buckets that were given, and no others."""

    def __init__(self, *buckets: MemoryBucket) -> None:
        self.buckets: Mapping[Place, MemoryBucket] = {bucket.place: bucket for bucket in buckets}

    async def bucket(self, place: Place) -> Bucket:
        if place not in self.buckets:
            raise refusals.no_bucket(place)
        return self.buckets[place]

    async def close(self) -> None:
        for bucket in self.buckets.values():
            await bucket.close()
