"""A bucket as a source: all keys beneath a prefix, or one object. Any node reads it whose
credentials open it; what was listed is read in the state in which it was listed, or not at all.

A cursor is where a page of the cloud begins (`c:`), or the last key that was given (`a:`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.clouds.contract import Bucket, Clouds, Object, Place
from nodeagent.jobs.contract import CHANGED, GONE, NAME, UNREADABLE, SkippedObject
from nodeagent.jobs.sources import beneath, checksums
from nodeagent.jobs.sources.coalesced import Coalesced
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.uris import SourceName
from nodeagent.jobs.sources.whole import Whole

PAGE_PATH_BYTES_MAX = 768 << 10  # A page is one message, with etags and checksums.
PAGE_KEYS_MAX = 50_000  # Looked at for one page, however few of them are wanted.
MODE = 0o644
# The cloud cannot be had now, whoever is at fault; it was tried again often enough.
AWAY = frozenset({"UNREACHABLE", "TOO_BUSY", "DEADLINE", "STALLED"})
PAGE_CURSOR, KEY_CURSOR = "c:", "a:"


@dataclass(slots=True)
class BucketSource:
    """Promises what `contract.Source` says. `NOT_ALLOWED` is of this node, and names the grant."""

    bucket: Bucket
    uri: str
    prefix: str  # Empty, or with a slash at its end.
    only: str  # The key of the one object that is meant.
    globs: Globs
    _whole: Whole = field(default_factory=Whole)
    _reads: Coalesced = field(init=False)

    def __post_init__(self) -> None:
        self._reads = Coalesced(self._read)

    @classmethod
    async def opened(
        cls,
        clouds: Clouds,
        name: SourceName,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> "BucketSource":
        bucket = await clouds.bucket(Place(name.kind, name.host, name.endpoint))
        prefix, only = name.prefix, ""
        if prefix and not prefix.endswith("/"):
            prefix, only = await _meant(bucket, prefix)
        return cls(bucket, name.uri, prefix, only, Globs(include, exclude))

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        try:
            if self.only:
                return await self._one()
            return await self._page(cursor, objects_max)
        except McError as error:
            raise self._away(error) from error

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            data = await self._reads.read(asked, offset_bytes, size_bytes)
        except McError as error:
            if error.reason == "CHANGED":
                raise SkippedObject(asked.path, CHANGED) from error
            if error.reason == "NOT_FOUND":
                raise SkippedObject(asked.path, GONE) from error
            if error.reason == "NOT_ALLOWED" and await self._others_are_readable():
                raise SkippedObject(asked.path, UNREADABLE, error.message) from error
            raise self._away(error) from error
        try:
            self._whole.check(asked, offset_bytes, data)
        except McError:
            self._reads.forget(asked.path)
            raise
        return data

    async def probe(self) -> None:
        """Lists and reads a little, as a job would. Raises what stands in the way."""
        first = await (self.bucket.head(self.only) if self.only else self._any())
        if first is not None:
            async for _ in self.bucket.read(first.key, first.pin, 0, min(1, first.size_bytes)):
                pass

    async def close(self) -> None:
        """The bucket is that of all who use it on this node."""

    # --- listing

    async def _one(self) -> task_pb2.ListingPage:
        found = await self.bucket.head(self.only)
        page = task_pb2.ListingPage(last=True)
        self._add(page, found, self.only.rpartition("/")[2])
        return page

    async def _page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        page = task_pb2.ListingPage(cursor=cursor)
        at, after = _places(cursor)
        looked = path_bytes = 0
        while True:
            found = await self.bucket.page(self.prefix, at, after)
            for one in found.objects:
                looked += 1
                path_bytes += self._add(page, one, one.key[len(self.prefix) :])
                here = len(page.objects) + len(page.skipped)
                more = found.cursor or one is not found.objects[-1]
                if more and (here >= objects_max or path_bytes >= PAGE_PATH_BYTES_MAX):
                    ended = one is found.objects[-1]
                    page.cursor = PAGE_CURSOR + found.cursor if ended else KEY_CURSOR + one.key
                    return page
            if not found.cursor:
                if not cursor and not looked:
                    said = f"there is nothing in {self.uri}"
                    raise McError("NOT_FOUND", said, next="correct the bucket or the prefix")
                page.last = True
                return page
            at, after = found.cursor, ""
            page.cursor = PAGE_CURSOR + found.cursor
            wanted = len(page.objects) + len(page.skipped)
            if looked >= PAGE_KEYS_MAX or wanted + len(found.objects) > objects_max:
                return page

    def _add(self, page: task_pb2.ListingPage, one: Object, name: str) -> int:
        """The bytes that it takes of the page."""
        if not one.size_bytes and (not name or name.endswith("/")):
            return 0  # What consoles make for a folder: it has no content, as a folder has none.
        path = (name or one.key).encode("utf-8", "surrogateescape")
        if not self.globs.allows(path):
            return 0
        if not name or not beneath.is_inside(path):
            page.skipped.add(path=path, reason=NAME)
            return len(path)
        page.objects.add(
            path=path,
            size_bytes=one.size_bytes,
            etag=one.pin,
            modified_unix_ms=int(one.modified_unix_s * 1000),
            mode=MODE,
            checksum=checksums.told(one.checksums),
        )
        return len(path) + len(one.pin)

    async def _any(self) -> Object | None:
        """The first object beneath the prefix, where there is one."""
        cursor = ""
        while True:
            found = await self.bucket.page(self.prefix, cursor)
            if found.objects or not found.cursor:
                return found.objects[0] if found.objects else None
            cursor = found.cursor

    # --- reading

    async def _read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        parts = self.bucket.read(self._key(asked.path), asked.etag, offset_bytes, size_bytes)
        found = [part async for part in parts]
        return found[0] if len(found) == 1 else b"".join(found)

    def _key(self, path: bytes) -> str:
        name = path.decode("utf-8", "surrogateescape")
        inside = name == self.only.rpartition("/")[2] if self.only else beneath.is_inside(path)
        if not inside:
            raise McError("BAD_REQUEST", f"{path!r} is no object of {self.uri}")
        return self.only or self.prefix + name

    async def _others_are_readable(self) -> bool:
        """One object may be locked by itself; or this node has lost its grant for all of them."""
        if self.only:
            return False
        try:
            await self.probe()
        except McError:
            return False
        return True

    def _away(self, error: McError) -> McError:
        if error.reason not in AWAY:
            return error
        said = f"{self.uri} cannot be read now: {error.message}"
        return McError("SOURCE_AWAY", said, next="nothing, if the cloud comes back; the job waits")


async def _meant(bucket: Bucket, key: str) -> tuple[str, str]:
    """A key without a slash at its end is one object where there is one, else a folder."""
    try:
        await bucket.head(key)
    except McError as error:
        if error.reason != "NOT_FOUND":
            raise
        return f"{key}/", ""
    return "", key


def _places(cursor: str) -> tuple[str, str]:
    kind, place = cursor[:2], cursor[2:]
    if cursor and kind not in (PAGE_CURSOR, KEY_CURSOR):
        raise McError("BAD_REQUEST", f"{cursor[:80]!r} is no cursor of a bucket")
    return (place, "") if kind == PAGE_CURSOR else ("", place)
