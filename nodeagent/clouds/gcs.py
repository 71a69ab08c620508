"""Google Cloud Storage by its own library, in a bounded pool of threads.

An object's pin is its generation. What is put carries its crc32c; large objects go by a resumable
upload, which takes up where it stopped, and which Google ends by itself after a week.
"""

import base64
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any, TypeVar

import google_crc32c

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Abilities, AtOnce, Object, Page, Place, Shape, Turns
from nodeagent.clouds.gcs_errors import mapped, of_status
from nodeagent.clouds.parts import parts_of, ranges
from nodeagent.clouds.probing import Tried, probe
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import Way

R = TypeVar("R")
PUT = "mc-put"  # Metadata that tells our put from another's, when its answer was lost.
PART_STEP = 256 << 10  # Parts are multiples of it.
KIND = "application/octet-stream"
FIELDS = "items(name,size,generation,updated,crc32c,md5Hash),nextPageToken"
_GOES_ON = 308


@dataclass(slots=True)
class _Upload:
    key: str
    url: str
    size_bytes: int
    sent: int = 0  # That the cloud has for certain.
    unsure: bool = False  # The last answer was lost.


class GcsBucket:
    def __init__(
        self,
        place: Place,
        way: Way,
        signed: Callable[[], Any],
        threads: Threads,
        *,
        shape: Shape | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._place = place
        self._way = way
        self._signed = signed
        self._threads = threads
        self._region = way.region
        self._shape = shape or Shape()
        self._turns = turns or AtOnce()
        self._bounds_s = (way.connect_timeout_s, way.read_timeout_s)

    @property
    def place(self) -> Place:
        return self._place

    @property
    def region(self) -> str:
        return self._region

    async def learn_region(self) -> None:
        """Where this node may ask; empty otherwise."""
        if self._region or self._way.url:
            return

        def work() -> str:
            bucket = self._signed().client.get_bucket(
                self._place.bucket, timeout=self._bounds_s, retry=None
            )
            return str(bucket.location or "").lower()

        try:
            self._region = await self._turn("GetBucket", "", work)
        except McError:
            return  # The first real request meets the same and says it.

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        """A cursor is the last key of its page, so it is good for ever."""
        behind = cursor or after
        keys = self._shape.page_keys + bool(behind)  # An offset is itself a part of the answer.

        def work() -> tuple[list[Object], bool]:
            listing = self._signed().client.list_blobs(
                self._place.bucket,
                prefix=prefix or None,
                start_offset=behind or None,
                max_results=None,
                page_size=keys,
                fields=FIELDS,
                timeout=self._bounds_s,
                retry=None,
            )
            found = [_seen(blob) for blob in next(listing.pages, ())]
            return found, bool(listing.next_page_token)

        found, more = await self._turn("ListObjects", "", work)
        beyond = [item for item in found if item.key.encode() > behind.encode()]
        return Page(
            beyond[: self._shape.page_keys], _cursor(beyond, self._shape.page_keys, more=more)
        )

    async def head(self, key: str) -> Object:
        return _seen(await self._blob(key))

    async def _blob(self, key: str) -> Any:
        def work() -> Any:
            blob = self._of(key)
            blob.reload(timeout=self._bounds_s, retry=None)
            return blob

        return await self._turn("HeadObject", key, work)

    def _of(self, key: str) -> Any:
        return self._signed().client.bucket(self._place.bucket).blob(key)

    async def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        if count == 0 and (await self.head(key)).pin != pin:
            raise refusals.changed(self._place, key, pin)
        for at, size in ranges(first, count, self._shape.part_bytes):
            yield await self._piece(key, pin, at, size)

    async def _piece(self, key: str, pin: str, at: int, size: int) -> bytes:
        def work() -> bytes:
            data: bytes = self._of(key).download_as_bytes(
                start=at,
                end=at + size - 1,
                if_generation_match=int(pin),
                raw_download=True,
                checksum=None,  # There are none of ranges; whoever reads it all compares.
                timeout=self._bounds_s,
                retry=None,
            )
            if len(data) != size:
                raise refusals.other_size(self._place, key, size, len(data))
            return data

        try:
            return await self._turn("GetObject", key, work, size)
        except McError as error:
            match error.facts.get("status"):
                case "412":
                    raise refusals.changed(self._place, key, pin) from None
                case "416":
                    raise refusals.other_size(self._place, key, size, 0) from None
            raise

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        part_bytes = max(PART_STEP, self._shape.part_bytes // PART_STEP * PART_STEP)
        cut = parts_of(self._place, key, parts, size_bytes, part_bytes)
        mine = token_hex(8)
        try:
            if size_bytes <= part_bytes:
                return await self._put_whole(key, await anext(cut), mine, absent)
            return await self._put_parts(key, cut, size_bytes, mine, absent)
        except McError as error:
            if error.facts.get("status") != "412":
                raise
        # The cloud has one. It is ours when an answer was lost and the request was made again.
        there = await self._blob(key)
        if (there.metadata or {}).get(PUT) != mine:
            raise refusals.exists(self._place, key)
        return _seen(there)

    async def _put_whole(self, key: str, data: bytes, mine: str, absent: bool) -> Object:
        def work() -> Any:
            blob = self._of(key)
            blob.metadata = {PUT: mine}
            blob.crc32c = _base64(google_crc32c.value(data))
            blob.upload_from_string(
                data,
                KIND,
                if_generation_match=0 if absent else None,
                timeout=self._bounds_s,
                checksum=None,  # Given above.
                retry=None,
            )
            return blob

        made = _seen(await self._turn("InsertObject", key, work, len(data)))
        return await self._compared(made, google_crc32c.value(data))

    async def _put_parts(
        self, key: str, cut: AsyncIterator[bytes], size_bytes: int, mine: str, absent: bool
    ) -> Object:
        def begin() -> str:
            blob = self._of(key)
            blob.metadata = {PUT: mine}
            url: str = blob.create_resumable_upload_session(
                KIND,
                size_bytes,
                if_generation_match=0 if absent else None,
                timeout=self._bounds_s,
                checksum=None,
                retry=None,
            )
            return url

        upload = _Upload(key, await self._turn("BeginUpload", key, begin), size_bytes)
        crc32c = first = 0
        answer: Mapping[str, Any] = {}
        try:
            async for part in cut:
                crc32c = google_crc32c.extend(crc32c, part)
                answer = await self._send(upload, first, part)
                first += len(part)
        except BaseException:
            await self._abandon(upload)
            raise
        return await self._compared(_of_json(answer), crc32c)

    async def _send(self, upload: _Upload, first: int, part: bytes) -> Mapping[str, Any]:
        """The last part's answer is the object."""
        end = first + len(part)

        def work() -> Mapping[str, Any]:
            if upload.unsure and (done := self._where(upload)):
                return done
            while upload.sent < end:
                span = f"bytes {upload.sent}-{end - 1}/{upload.size_bytes}"
                upload.unsure = True
                done = self._tell(upload, span, part[upload.sent - first :])
                upload.unsure = False
                if done:
                    return done
            return {}

        return await self._turn("InsertPart", upload.key, work, len(part))

    def _where(self, upload: _Upload) -> Mapping[str, Any]:
        """After a lost answer: how far it is, or the object when that was all."""
        done = self._tell(upload, f"bytes */{upload.size_bytes}", b"")
        upload.unsure = False
        return done

    def _tell(self, upload: _Upload, span: str, data: bytes) -> Mapping[str, Any]:
        answer = self._signed().session.put(
            upload.url,
            data=data,
            headers={"content-range": span, "content-type": KIND},
            timeout=self._bounds_s,
        )
        if answer.status_code == _GOES_ON:
            held = answer.headers.get("range", "")
            upload.sent = int(held.rpartition("-")[2]) + 1 if held else 0
            return {}
        if answer.status_code not in (200, 201):
            said, heads = answer.text[:300], answer.headers
            named = ("InsertPart", self._way, self._place, upload.key)
            raise of_status(answer.status_code, said, heads, *named)
        made: Mapping[str, Any] = answer.json()
        return made

    async def _abandon(self, upload: _Upload) -> None:
        """What cannot be ended now, Google ends within a week."""

        def work() -> None:
            self._signed().session.delete(upload.url, timeout=self._bounds_s)

        try:
            await self._turn("InsertPart", upload.key, work)
        except McError:
            return

    async def _compared(self, made: Object, crc32c: int) -> Object:
        """What the cloud has is what we sent; else it is taken away again."""
        if dict(made.checksums).get("crc32c") != crc32c.to_bytes(4):
            await self.delete(made.key)
            raise refusals.spoilt(self._place, made.key, "crc32c")
        return made

    async def delete(self, key: str) -> None:
        try:
            await self._turn(
                "DeleteObject",
                key,
                lambda: self._of(key).delete(timeout=self._bounds_s, retry=None),
            )
        except McError as error:
            if error.reason != "NOT_FOUND":
                raise

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        """Google tells nobody of unfinished uploads, and ends them after a week."""
        return 0

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        return await probe(self, prefix, write=write, spoilt=self._put_spoilt)

    async def _put_spoilt(self, key: str) -> Tried:
        """Whether a put whose checksum is wrong is refused."""

        def work() -> None:
            blob = self._of(key)
            blob.crc32c = _base64(google_crc32c.value(b"as it should not be"))
            blob.upload_from_string(
                b"as it is", KIND, timeout=self._bounds_s, checksum=None, retry=None
            )

        try:
            await self._turn("InsertObject", key, work)
        except McError as error:
            if error.reason == "DAMAGE":
                return Tried.KEPT
            raise
        return Tried.BROKEN

    async def close(self) -> None:
        pass  # Client and threads belong to who made them.

    async def _turn(self, request: str, key: str, work: Callable[[], R], size_bytes: int = 0) -> R:
        async def call() -> R:
            try:
                return await self._threads.run(work)
            except Exception as error:  # noqa: BLE001  An SDK raises what it likes.
                raise mapped(error, request, self._way, self._place, key) from None

        return await self._turns.take(request, call, size_bytes)


def _cursor(beyond: list[Object], page_keys: int, *, more: bool) -> str:
    shown = beyond[:page_keys]
    return shown[-1].key if shown and (more or len(beyond) > page_keys) else ""


def _seen(blob: Any) -> Object:
    at_s = blob.updated.timestamp() if blob.updated else time.time()
    sums = _sums(blob.crc32c, blob.md5_hash)
    return Object(blob.name, int(blob.size), str(blob.generation), at_s, sums)


def _of_json(answer: Mapping[str, Any]) -> Object:
    at_s = datetime.fromisoformat(answer["updated"]).timestamp()
    sums = _sums(answer.get("crc32c"), answer.get("md5Hash"))
    return Object(answer["name"], int(answer["size"]), str(answer["generation"]), at_s, sums)


def _sums(crc32c: str | None, md5: str | None) -> tuple[tuple[str, bytes], ...]:
    given = (("crc32c", crc32c), ("md5", md5))
    return tuple((name, base64.b64decode(text)) for name, text in given if text)


def _base64(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4)).decode()
