"""A file of a web server, or a list of them, as a source. Pinned by etag or time of change; read in
ranges where the server gives them, else fetched once and read from the own disk.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.contract import CHANGED, GONE, UNREADABLE, SkippedObject
from nodeagent.jobs.sources.globs import Globs
from nodeagent.jobs.sources.uris import LIST, SourceName
from nodeagent.jobs.sources.web import listed
from nodeagent.jobs.sources.web.client import WebClient, shown
from nodeagent.jobs.sources.web.listed import LIST_BYTES_MAX, Wanted
from nodeagent.jobs.sources.web.spool import Spool
from nodeagent.jobs.sources.web.states import State, begins_at, modified_unix_ms, whole_bytes
from nodeagent.wire.flow import first_of

PAGE_URLS_MAX = 256  # Each is asked for; work begins with the first page.
HEADS_AT_ONCE = 16
PIECE_BYTES = 1 << 20
MODE = 0o644
GONE_STATUS, SHUT_STATUS, BUSY_STATUS = (404, 410), (401, 403, 407), (408, 425, 429, 503)
NO_RANGE_STATUS, CHANGED_STATUS, NO_HEAD_STATUS = 416, 412, (400, 403, 405, 501)
BUSY_S, BUSY_S_MAX = 1.0, 60.0
AWAY = frozenset({"UNREACHABLE", "TOO_BUSY", "STALLED", "DEADLINE"})


@dataclass(slots=True)
class WebSource:
    """Promises what `contract.Source` says."""

    client: WebClient
    spool: Spool
    name: SourceName
    globs: Globs
    _wanted: list[Wanted] = field(default_factory=list)
    _list_pin: str = ""
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def page(self, cursor: str, objects_max: int) -> task_pb2.ListingPage:
        try:
            return await self._page(cursor, min(objects_max, PAGE_URLS_MAX))
        except McError as error:
            raise self._away(error) from error

    async def read(self, asked: task_pb2.TaskInput, offset_bytes: int, size_bytes: int) -> bytes:
        try:
            url = await self._url(asked.path)
            state = State.read(asked.etag, asked.size_bytes)
            if state.ranges:
                parts = self._bytes(asked.path, url, state, offset_bytes, size_bytes)
                return b"".join([part async for part in parts])
            return await self.spool.read(
                (url, asked.etag),
                lambda: self._bytes(asked.path, url, state, 0, state.size_bytes),
                offset_bytes,
                size_bytes,
            )
        except McError as error:
            raise self._away(error) from error

    async def probe(self) -> None:
        """Whether the server is reached; what it has of this is told by a page."""
        if self.name.kind.startswith(LIST):
            await self._load()
            return
        async with self.client.asked("HEAD", self.name.uri, {}):
            pass

    async def close(self) -> None:
        """Client and disk are those of the node."""

    # --- listing

    async def _page(self, cursor: str, urls_max: int) -> task_pb2.ListingPage:
        await self._load()
        pin, _, number = cursor.rpartition(" ")
        if cursor and pin != self._list_pin:
            said = f"the list {shown(self._list_url)} has changed since the job began"
            raise McError("CHANGED", said, next="submit it again")
        begin = int(number or 0)
        end = min(begin + urls_max, len(self._wanted))
        page = task_pb2.ListingPage(cursor=f"{self._list_pin} {end}", last=end == len(self._wanted))
        wanted = [one for one in self._wanted[begin:end] if self.globs.allows(one.path)]
        room = asyncio.Semaphore(HEADS_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._seen(one, room)) for one in wanted]
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        for one, task in zip(wanted, tasks, strict=True):
            found = task.result()
            if isinstance(found, task_pb2.ListedObject):
                page.objects.append(found)
            elif not self.name.kind.startswith(LIST):
                said = f"{shown(one.url)}: {found}"
                raise McError("NOT_FOUND" if found == GONE else "NOT_ALLOWED", said)
            else:
                page.skipped.add(path=one.path, reason=found)
        return page

    async def _seen(self, one: Wanted, room: asyncio.Semaphore) -> task_pb2.ListedObject | str:
        """As it is now, or why it is skipped."""
        try:
            async with room:
                return await self._head(one)
        except SkippedObject as skipped:
            return skipped.why
        except McError as error:
            if error.reason != "NOT_ALLOWED":
                raise
            return UNREADABLE if self.name.kind.startswith(LIST) else error.message

    async def _head(self, one: Wanted) -> task_pb2.ListedObject:
        """HEAD does not tell whether ranges come; a range of one byte does."""
        for method, headers in (("GET", {"Range": "bytes=0-0"}), ("HEAD", {})):
            async with self.client.asked(method, one.url, headers) as answer:
                status = answer.status
                if status == NO_RANGE_STATUS or (status in NO_HEAD_STATUS and method == "HEAD"):
                    continue  # An empty file has no first byte.
                self._demand_good(one.path, one.url, status, answer.headers)
                size = whole_bytes(status, answer.headers)
                if size is None:
                    said = "the server does not say how large it is"
                    raise SkippedObject(one.path, UNREADABLE, said)
                if size > self.client.limits.object_bytes_max:
                    raise SkippedObject(one.path, UNREADABLE, "it is larger than [web] allows")
                state = State.of(answer.headers, size, ranges=status == 206)
                return task_pb2.ListedObject(
                    path=one.path,
                    size_bytes=size,
                    etag=state.pin,
                    modified_unix_ms=modified_unix_ms(answer.headers),
                    mode=MODE,
                )
        raise SkippedObject(one.path, UNREADABLE, "the server gives neither its size nor a range")

    @property
    def _list_url(self) -> str:
        return self.name.uri.removeprefix(LIST)

    async def _load(self) -> None:
        async with self._loading:
            if self._wanted:
                return
            if not self.name.kind.startswith(LIST):
                self._wanted, self._list_pin = [listed.one(self.name.uri)], "-"
                return
            url, data = self._list_url, bytearray()
            async with self.client.asked("GET", url, {}, LIST_BYTES_MAX) as answer:
                self._demand_good(b"", url, answer.status, answer.headers)
                async for part in answer.content.iter_chunked(PIECE_BYTES):
                    data += part
                    if len(data) > LIST_BYTES_MAX:
                        said = f"the list {shown(url)} is larger than {LIST_BYTES_MAX} bytes"
                        raise McError("TOO_LARGE", said)
                pin = State.of(answer.headers, len(data), ranges=True)
            self._wanted = await asyncio.to_thread(listed.several, url, bytes(data))
            self._list_pin = f"{pin.value.replace(' ', '_')}#{len(data)}"

    # --- reading

    async def _url(self, path: bytes) -> str:
        await self._load()
        place = bisect_left(self._wanted, path, key=lambda one: one.path)
        if place == len(self._wanted) or self._wanted[place].path != path:
            raise McError("BAD_REQUEST", f"{path!r} is no file of {shown(self.name.uri)}")
        return self._wanted[place].url

    async def _bytes(
        self, path: bytes, url: str, state: State, offset_bytes: int, size_bytes: int
    ) -> AsyncIterator[bytes]:
        """So many, of that state, or SkippedObject; DAMAGE when more or fewer come."""
        headers = dict(state.conditions)
        if state.ranges and size_bytes:
            headers["Range"] = f"bytes={offset_bytes}-{offset_bytes + size_bytes - 1}"
        came = 0
        async with self.client.asked("GET", url, headers, size_bytes) as answer:
            self._demand_good(path, url, answer.status, answer.headers)
            size = whole_bytes(answer.status, answer.headers)
            if not state.is_that_of(answer.headers, state.size_bytes if size is None else size):
                raise SkippedObject(path, CHANGED)
            if state.ranges and size_bytes and not begins_at(answer, offset_bytes):
                raise McError("DAMAGE", f"{shown(url)}: the server gives another range, or none")
            async for part in answer.content.iter_chunked(PIECE_BYTES):
                came += len(part)
                if came > size_bytes:
                    break
                yield part
        if came != size_bytes:
            more = "more" if came > size_bytes else f"{came}"
            said = f"{shown(url)}: {more} bytes came where {size_bytes} were announced"
            raise McError("DAMAGE", said)

    def _demand_good(self, path: bytes, url: str, status: int, headers: Mapping[str, str]) -> None:
        if status in GONE_STATUS:
            raise SkippedObject(path, GONE)
        if status == CHANGED_STATUS:
            raise SkippedObject(path, CHANGED)
        if status in SHUT_STATUS:
            raise SkippedObject(path, UNREADABLE, f"the server answers {status}")
        if status in BUSY_STATUS or status >= 500:
            pause_s = _pause_s(headers.get("Retry-After", ""))
            self.client.rest(url, pause_s)
            said = f"{shown(url)} answers {status}"
            raise McError("TOO_BUSY", said, retry_after_s=pause_s)
        if status not in (200, 206):
            raise SkippedObject(path, UNREADABLE, f"the server answers {status}")
        if headers.get("Content-Encoding", "identity") not in ("", "identity"):
            raise SkippedObject(path, UNREADABLE, "the server packs what was asked for as it is")

    def _away(self, error: McError) -> McError:
        if error.reason not in AWAY:
            return error
        said = f"{shown(self.name.uri)} cannot be read now: {error.message}"
        return McError("SOURCE_AWAY", said, next="nothing, if the server comes back; the job waits")


def _pause_s(said: str) -> float:
    return min(float(said), BUSY_S_MAX) if said.isascii() and said.isdigit() else BUSY_S
