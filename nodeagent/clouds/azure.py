"""Azure's blob storage by its own library, in the daemon's loop.

An object's pin is its etag. Each request carries an MD5 that the cloud checks, and each range is
checked against the MD5 that it sends. Blocks that nobody commits, Azure forgets within a week.
"""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from secrets import token_hex
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ContentSettings

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.azure_errors import mapped
from nodeagent.clouds.contract import Abilities, AtOnce, Object, Page, Place, Shape, Turns
from nodeagent.clouds.parts import parts_of, ranges
from nodeagent.clouds.probing import Tried, probe
from nodeagent.clouds.sending import send_parts
from nodeagent.clouds.way import Way

R = TypeVar("R")
PUT = "mcput"  # Metadata that tells our put from another's, when its answer was lost.
BLOCKS_MAX = 50_000
PIECE_BYTES_MAX = 4 << 20  # Of longer ranges Azure tells no MD5.
SKIP_KEYS = 5000  # A page's most; asked for while only passing over.
KIND = "application/octet-stream"


class AzureBucket:
    def __init__(
        self,
        place: Place,
        way: Way,
        client: Callable[[], Awaitable[Any]],
        *,
        shape: Shape | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._place = place
        self._way = way
        self._client = client
        self._shape = shape or Shape()
        self._turns = turns or AtOnce()

    @property
    def place(self) -> Place:
        return self._place

    @property
    def region(self) -> str:
        """Azure tells it to whoever manages the account only."""
        return self._way.region

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        """A cursor is Azure's own mark and the last key: when the mark is no longer known, the
        listing begins anew and passes over what was seen.
        """
        mark, behind = json.loads(cursor) if cursor else ("", after)
        if mark:
            try:
                return await self._page(prefix, mark, "")
            except McError as error:
                if error.facts.get("code") not in ("InvalidQueryParameterValue", "OutOfRangeInput"):
                    raise
        mark = ""
        while True:
            page = await self._page(prefix, mark, behind)
            if page.objects or not page.cursor:
                return page
            mark = json.loads(page.cursor)[0]

    async def _page(self, prefix: str, mark: str, behind: str) -> Page:
        async def work() -> tuple[list[Object], str]:
            pages = (await self._client()).list_blobs(
                name_starts_with=prefix or None, results_per_page=self._shape.page_keys
            )
            listing = pages.by_page(mark or None)
            found = [_seen(blob) async for blob in await anext(listing)]
            return found, listing.continuation_token or ""

        found, more = await self._turn("ListBlobs", "", work)
        seen = [item for item in found if item.key.encode() > behind.encode()]
        last = found[-1].key if found else behind
        return Page(seen, json.dumps([more, last]) if more else "")

    async def head(self, key: str) -> Object:
        return _seen(await self._properties(key))

    async def _properties(self, key: str) -> Any:
        async def work() -> Any:
            return await (await self._blob(key)).get_blob_properties()

        return await self._turn("HeadBlob", key, work)

    async def _blob(self, key: str) -> Any:
        return (await self._client()).get_blob_client(key)

    async def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        if count == 0 and (await self.head(key)).pin != pin:
            raise refusals.changed(self._place, key, pin)
        for at, size in ranges(first, count, min(PIECE_BYTES_MAX, self._shape.part_bytes)):
            yield await self._piece(key, pin, at, size)

    async def _piece(self, key: str, pin: str, at: int, size: int) -> bytes:
        async def work() -> bytes:
            stream = await (await self._blob(key)).download_blob(
                at,
                size,
                etag=f'"{pin}"',
                match_condition=MatchConditions.IfNotModified,
                validate_content=True,
                max_concurrency=1,
            )
            data: bytes = await stream.readall()
            if len(data) != size:
                raise refusals.other_size(self._place, key, size, len(data))
            return data

        try:
            return await self._turn("GetBlob", key, work, size)
        except McError as error:
            match error.facts.get("status"):
                case "412":
                    await self.head(key)  # It may be gone altogether, and then says so.
                    raise refusals.changed(self._place, key, pin) from None
                case "416":
                    raise refusals.other_size(self._place, key, size, 0) from None
            raise

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        part_bytes = max(self._shape.part_bytes, -(-size_bytes // BLOCKS_MAX))
        cut = parts_of(self._place, key, parts, size_bytes, part_bytes)
        mine = token_hex(8)
        try:
            if size_bytes <= part_bytes:
                return await self._put_whole(key, await anext(cut), mine, absent)
            return await self._put_parts(key, cut, size_bytes, mine, absent)
        except McError as error:
            # Whoever commits first makes the blocks of others unknown.
            outrun = absent and error.facts.get("code") == "InvalidBlockList"
            if error.facts.get("status") != "412" and not outrun:
                raise
        # The cloud has one. It is ours when an answer was lost and the request was made again.
        there = await self._properties(key)
        if (there.metadata or {}).get(PUT) != mine:
            raise refusals.exists(self._place, key)
        return _seen(there)

    async def _put_whole(self, key: str, data: bytes, mine: str, absent: bool) -> Object:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()

        async def work() -> Any:
            return await (await self._blob(key)).upload_blob(
                data,
                length=len(data),
                overwrite=not absent,
                metadata={PUT: mine},
                validate_content=True,
                content_settings=_settings(md5),
            )

        return _made(key, len(data), md5, await self._turn("PutBlob", key, work, len(data)))

    async def _put_parts(
        self, key: str, cut: AsyncIterator[bytes], size_bytes: int, mine: str, absent: bool
    ) -> Object:
        whole = hashlib.md5(usedforsecurity=False)

        async def summed() -> AsyncIterator[bytes]:
            async for part in cut:
                whole.update(part)
                yield part

        async def send(number: int, part: bytes) -> str:
            name = base64.b64encode(f"{mine}-{number:06}".encode()).decode()

            async def work() -> None:
                blob = await self._blob(key)
                await blob.stage_block(name, part, len(part), validate_content=True)

            await self._turn("PutBlock", key, work, len(part))
            return name

        names = await send_parts(summed(), send)

        async def commit() -> Any:
            return await (await self._blob(key)).commit_block_list(
                [BlobBlock(name) for name in names],
                metadata={PUT: mine},
                content_settings=_settings(whole.digest()),
                **({"match_condition": MatchConditions.IfMissing} if absent else {}),
            )

        answer = await self._turn("PutBlockList", key, commit)
        return _made(key, size_bytes, whole.digest(), answer)

    async def delete(self, key: str) -> None:
        async def work() -> None:
            await (await self._blob(key)).delete_blob()

        try:
            await self._turn("DeleteBlob", key, work)
        except McError as error:
            if error.reason != "NOT_FOUND" or "no bucket" in error.message:
                raise

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        """Azure lists no age of blocks that nobody committed, and forgets them after a week."""
        return 0

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        return await probe(self, prefix, write=write, spoilt=self._put_spoilt)

    async def _put_spoilt(self, key: str) -> Tried:
        """Whether a put whose checksum is wrong is refused."""
        wrong = hashlib.md5(b"as it should not be", usedforsecurity=False).digest()

        async def work() -> None:
            await (await self._blob(key)).upload_blob(
                b"as it is",
                overwrite=True,
                headers={"Content-MD5": base64.b64encode(wrong).decode()},
            )

        try:
            await self._turn("PutBlob", key, work)
        except McError as error:
            if error.reason == "DAMAGE":
                return Tried.KEPT
            raise
        return Tried.BROKEN

    async def close(self) -> None:
        pass  # Clients belong to who made them.

    async def _turn(
        self, request: str, key: str, work: Callable[[], Awaitable[R]], size_bytes: int = 0
    ) -> R:
        async def call() -> R:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001  An SDK raises what it likes.
                raise mapped(error, request, self._way, self._place, key) from None

        return await self._turns.take(request, call, size_bytes)


def _settings(md5: bytes) -> ContentSettings:
    return ContentSettings(content_type=KIND, content_md5=bytearray(md5))


def _seen(blob: Any) -> Object:
    md5 = blob.content_settings.content_md5
    sums = (("md5", bytes(md5)),) if md5 else ()
    at_s = blob.last_modified.timestamp()
    return Object(blob.name, int(blob.size), str(blob.etag).strip('"'), at_s, sums)


def _made(key: str, size_bytes: int, md5: bytes, answer: Any) -> Object:
    at = answer.get("last_modified")
    at_s = at.timestamp() if at else time.time()
    return Object(key, size_bytes, str(answer["etag"]).strip('"'), at_s, (("md5", md5),))
