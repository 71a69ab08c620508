"""S3 and what speaks like it, by boto3 in a bounded pool of threads.

Parts are scheduled here. Checksums too: to AWS a CRC32 with each part and of the whole, to others
a Content-MD5, which every server knows; what the answer says of the bytes is compared with ours.
"""

import base64
import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import Any, TypeVar

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Abilities, AtOnce, Object, Page, Place, Shape, Turns
from nodeagent.clouds.parts import parts_of, ranges
from nodeagent.clouds.probing import Tried, probe
from nodeagent.clouds.s3_errors import mapped
from nodeagent.clouds.sending import send_parts
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import Way

PARTS_MAX = 10_000
PUT = "mc-put"  # Metadata that tells our put from another's, when its answer was lost.
UPLOADS_PER_PAGE = 1000
_MD5_CHARS = 32

Answer = Mapping[str, Any]
R = TypeVar("R")


@dataclass
class _Upload:
    """One object on its way, in parts."""

    key: str
    id: str
    crc32: int = 0
    parts: list[tuple[str, bytes]] = field(default_factory=list)  # etag, md5


class S3Bucket:
    def __init__(
        self,
        place: Place,
        way: Way,
        client: Any,
        threads: Threads,
        *,
        region: str = "",
        shape: Shape | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._place = place
        self._way = way
        self._client = client
        self._threads = threads
        self._region = region
        self._shape = shape or Shape()
        self._turns = turns or AtOnce()
        self._asks_first = False  # The cloud was seen not to keep put-if-absent.

    @property
    def place(self) -> Place:
        return self._place

    @property
    def region(self) -> str:
        return self._region

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        """A cursor is the last key of its page, so it is good for ever."""
        behind = cursor or after
        more = {"StartAfter": behind} if behind else {}
        while True:
            answer = await self._ask(
                "ListObjectsV2", "", Prefix=prefix, MaxKeys=self._shape.page_keys, **more
            )
            found = [_listed(item) for item in answer.get("Contents", ())]
            if found or not answer.get("IsTruncated"):
                return Page(found, found[-1].key if answer.get("IsTruncated") else "")
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def head(self, key: str) -> Object:
        return self._seen(key, await self._head(key))

    async def _head(self, key: str) -> Answer:
        more = {} if self._way.compatible_only else {"ChecksumMode": "ENABLED"}
        return await self._ask("HeadObject", key, **more)

    async def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        if count == 0 and (await self.head(key)).pin != pin:
            raise refusals.changed(self._place, key, pin)
        for at, size in ranges(first, count, self._shape.part_bytes):
            yield await self._piece(key, pin, at, size)

    async def _piece(self, key: str, pin: str, at: int, size: int) -> bytes:
        def work() -> bytes:
            asked = f"bytes={at}-{at + size - 1}"
            answer = self._client.get_object(
                Bucket=self._place.bucket, Key=key, IfMatch=f'"{pin}"', Range=asked
            )
            with answer["Body"] as body:
                if _pin(answer["ETag"]) != pin:
                    raise refusals.changed(self._place, key, pin)
                if answer["ContentLength"] != size:
                    raise refusals.other_size(self._place, key, size, answer["ContentLength"])
                data: bytes = body.read()
            if len(data) != size:
                raise refusals.other_size(self._place, key, size, len(data))
            return data

        try:
            return await self._turn("GetObject", key, work, size)
        except McError as error:
            raise self._of_read(error, key, pin, size) from None

    def _of_read(self, error: McError, key: str, pin: str, size: int) -> McError:
        match error.facts.get("status"):
            case "412":
                return refusals.changed(self._place, key, pin)
            case "416":
                return refusals.other_size(self._place, key, size, 0)
        return error

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        if absent and self._asks_first:
            await self._must_be_absent(key)
        part_bytes = max(self._shape.part_bytes, -(-size_bytes // PARTS_MAX))
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
        answer = await self._head(key)
        said = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        if said.get(PUT) != mine:
            raise refusals.exists(self._place, key)
        return self._seen(key, answer)

    async def _must_be_absent(self, key: str) -> None:
        try:
            await self.head(key)
        except McError as error:
            if error.reason != "NOT_FOUND":
                raise
            return
        raise refusals.exists(self._place, key)

    def _if_absent(self, absent: bool) -> dict[str, str]:
        return {"IfNoneMatch": "*"} if absent and not self._asks_first else {}

    async def _put_whole(self, key: str, data: bytes, mine: str, absent: bool) -> Object:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        answer = await self._ask(
            "PutObject",
            key,
            Body=data,
            Metadata={PUT: mine},
            **self._checks(zlib.crc32(data), md5),
            **self._if_absent(absent),
        )
        self._compare(key, answer, md5)
        return self._made(key, answer, len(data), (("md5", md5),))

    async def _put_parts(
        self, key: str, cut: AsyncIterator[bytes], size_bytes: int, mine: str, absent: bool
    ) -> Object:
        aws = not self._way.compatible_only
        whole = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} if aws else {}
        begun = await self._ask("CreateMultipartUpload", key, Metadata={PUT: mine}, **whole)
        upload = _Upload(key, begun["UploadId"])
        try:
            sent = await send_parts(
                _summed(cut, upload), lambda number, part: self._send(upload, number, part)
            )
            listed = [{"PartNumber": n, "ETag": etag} for n, (etag, _) in enumerate(sent, 1)]
            crc32 = {
                "ChecksumCRC32": _base64(upload.crc32.to_bytes(4)),
                "ChecksumType": "FULL_OBJECT",
            }
            answer = await self._ask(
                "CompleteMultipartUpload",
                key,
                UploadId=upload.id,
                MultipartUpload={"Parts": listed},
                **(crc32 if aws else {}),
                **self._if_absent(absent),
            )
        except BaseException:
            await self._abort(upload)
            raise
        md5s = hashlib.md5(b"".join(md5 for _, md5 in sent), usedforsecurity=False).hexdigest()
        etag = _pin(answer.get("ETag", ""))
        if etag.endswith(f"-{len(sent)}") and etag != f"{md5s}-{len(sent)}" and _md5s(answer):
            await self.delete(key)
            raise refusals.spoilt(self._place, key, "etag")
        return self._made(key, answer, size_bytes, ())

    async def _send(self, upload: _Upload, number: int, part: bytes) -> tuple[str, bytes]:
        md5 = hashlib.md5(part, usedforsecurity=False).digest()
        answer = await self._ask(
            "UploadPart",
            upload.key,
            UploadId=upload.id,
            PartNumber=number + 1,
            Body=part,
            **self._checks(zlib.crc32(part), md5),
        )
        self._compare(upload.key, answer, md5)
        return answer["ETag"], md5

    async def _abort(self, upload: _Upload) -> None:
        """Unasked parts cost money; what cannot be ended now is ended by a sweep."""
        try:
            await self._ask("AbortMultipartUpload", upload.key, UploadId=upload.id)
        except McError:
            return

    def _checks(self, crc32: int, md5: bytes) -> dict[str, str]:
        if self._way.compatible_only:
            return {"ContentMD5": _base64(md5)}
        return {"ChecksumCRC32": _base64(crc32.to_bytes(4))}

    def _compare(self, key: str, answer: Answer, md5: bytes) -> None:
        etag = _pin(answer["ETag"])
        if _md5s(answer) and len(etag) == _MD5_CHARS and etag != md5.hex():
            raise refusals.spoilt(self._place, key, "etag")

    async def delete(self, key: str) -> None:
        try:
            await self._ask("DeleteObject", key)
        except McError as error:
            if error.reason != "NOT_FOUND" or "no bucket" in error.message:
                raise

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        before_s = time.time() - older_than_s
        ended = 0
        marks: dict[str, str] = {}
        while True:
            answer = await self._ask(
                "ListMultipartUploads", "", Prefix=prefix, MaxUploads=UPLOADS_PER_PAGE, **marks
            )
            for one in answer.get("Uploads", ()):
                if one["Initiated"].timestamp() <= before_s:
                    await self._ask("AbortMultipartUpload", one["Key"], UploadId=one["UploadId"])
                    ended += 1
            if not answer.get("IsTruncated"):
                return ended
            marks = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        able = await probe(self, prefix, write=write, spoilt=self._put_spoilt)
        self._asks_first = write and not able.put_if_absent
        return able

    async def _put_spoilt(self, key: str) -> Tried:
        """Whether a put whose checksum is wrong is refused."""
        data, wrong = b"as it should be", b"as it should not be"
        md5 = hashlib.md5(wrong, usedforsecurity=False).digest()
        try:
            await self._ask("PutObject", key, Body=data, **self._checks(zlib.crc32(wrong), md5))
        except McError as error:
            if error.reason == "DAMAGE":
                return Tried.KEPT
            raise
        return Tried.BROKEN

    async def close(self) -> None:
        pass  # Client and threads belong to who made them.

    async def _ask(self, request: str, key: str, **more: Any) -> Answer:
        named = {"Bucket": self._place.bucket} | ({"Key": key} if key else {})
        method = getattr(self._client, _METHODS[request])
        size_bytes = len(more.get("Body", b""))
        return await self._turn(request, key, lambda: method(**named, **more), size_bytes)

    async def _turn(self, request: str, key: str, work: Callable[[], R], size_bytes: int) -> R:
        async def call() -> R:
            try:
                return await self._threads.run(work)
            except Exception as error:  # noqa: BLE001  An SDK raises what it likes.
                raise mapped(error, request, self._way, self._place, key) from None

        return await self._turns.take(request, call, size_bytes)

    def _seen(self, key: str, answer: Answer) -> Object:
        return Object(
            key,
            answer["ContentLength"],
            _pin(answer["ETag"]),
            answer["LastModified"].timestamp(),
            tuple(_checksums(answer)),
        )

    def _made(
        self, key: str, answer: Answer, size: int, checksums: tuple[tuple[str, bytes], ...]
    ) -> Object:
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        at_s = parsedate_to_datetime(date).timestamp() if date else time.time()
        return Object(key, size, _pin(answer["ETag"]), at_s, checksums)


_METHODS = {
    "ListObjectsV2": "list_objects_v2",
    "HeadObject": "head_object",
    "PutObject": "put_object",
    "CreateMultipartUpload": "create_multipart_upload",
    "UploadPart": "upload_part",
    "CompleteMultipartUpload": "complete_multipart_upload",
    "AbortMultipartUpload": "abort_multipart_upload",
    "ListMultipartUploads": "list_multipart_uploads",
    "DeleteObject": "delete_object",
}


async def _summed(parts: AsyncIterator[bytes], upload: _Upload) -> AsyncIterator[bytes]:
    async for part in parts:
        upload.crc32 = zlib.crc32(part, upload.crc32)
        yield part


def _listed(item: Answer) -> Object:
    at_s = item["LastModified"].timestamp()
    return Object(item["Key"], item["Size"], _pin(item["ETag"]), at_s)


def _checksums(answer: Answer) -> list[tuple[str, bytes]]:
    """Of the whole object only: those of uploads in parts are sums of sums, unless they say so."""
    found = []
    if "ChecksumCRC32" in answer and answer.get("ChecksumType") == "FULL_OBJECT":
        found.append(("crc32", base64.b64decode(answer["ChecksumCRC32"])))
    etag = _pin(answer["ETag"])
    if _md5s(answer) and len(etag) == _MD5_CHARS:
        found.append(("md5", bytes.fromhex(etag)))
    return found


def _md5s(answer: Answer) -> bool:
    """Whether etags are sums of the bytes: not where a key service or the customer encrypts."""
    plain = answer.get("ServerSideEncryption") in (None, "AES256")
    return plain and not answer.get("SSECustomerAlgorithm")


def _pin(etag: str) -> str:
    return etag.strip('"')


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
