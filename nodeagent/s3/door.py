"""The endpoint's door: who asks is checked, then what is asked is answered, or refused by name.

An ASGI application by hand: each piece of a file is sent as it comes, and the next one is read only
when the client has taken it.
"""

import asyncio
import mimetypes
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Protocol

import structlog

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.jobs.datasets.reading import Reading, whole_hash
from nodeagent.rpc.guard import Observer
from nodeagent.s3 import answers
from nodeagent.s3.asked import Asked, asked_of, range_counts, range_of, unmet
from nodeagent.s3.buckets import buckets_of, which
from nodeagent.s3.keys import READER, AccessKeys, Key, may_see
from nodeagent.s3.listing import list_objects
from nodeagent.s3.refusal import Refusal, of_error
from nodeagent.s3.signing import check_signature, check_time, claim_of
from nodeagent.s3.trail import Trail

Send = Callable[[Any], Awaitable[None]]
WAIT_S_MAX = 10.0  # For a turn to read; then SlowDown, which clients repeat by themselves.
CHECK_KEY_S = 1.0  # How often a key is looked at again while a file is being sent.
REGION = "us-east-1"
LISTING = {
    "list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "marker",
    "encoding-type", "fetch-owner", "allow-unordered",
}  # fmt: skip
BUCKETS = {"prefix", "max-buckets", "continuation-token", "bucket-region"}
_ALWAYS = {"x-id"}  # SDKs say which operation they mean.
_log = structlog.stdlib.get_logger(__name__)


class Limits(Protocol):
    @property
    def reads_at_once_max(self) -> int: ...
    @property
    def stall_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/xml"),)


@dataclass(slots=True)
class Door:
    reading: Reading
    keys: AccessKeys
    trail: Trail
    observer: Observer
    limits: Limits
    clock_unix_s: Callable[[], float] = time.time
    _turns: asyncio.Semaphore = field(init=False)
    _open: int = 0
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.limits.reads_at_once_max)

    async def __call__(self, scope: Any, receive: object, send: Send) -> None:
        began_s, self._open = time.monotonic(), self._open + 1
        request = _Request(scope, send)
        try:
            with self.observer.around("/s3", {}) as trace_id:
                request.id = trace_id or request.id
                await self._answer(request)
        finally:
            self._open -= 1
            self._left.set()
            self.observer.done(f"/s3/{request.operation}", request.code, time.monotonic() - began_s)

    async def emptied(self) -> None:
        """Returns when nothing is being answered."""
        while self._open:
            self._left.clear()
            await self._left.wait()

    async def _answer(self, request: "_Request") -> None:
        try:
            await self._judged(request)
        except TimeoutError:
            request.code = "STALLED"  # It has no use for an answer; its connection is ended.
        except Refusal as refused:
            await self._refuse(request, refused)
        except McError as error:
            missing = "NoSuchKey" if request.asked and request.asked.key else "NoSuchBucket"
            await self._refuse(request, of_error(error, missing))
        except Exception as error:  # noqa: BLE001 - the border: a defect becomes an answer
            self.observer.defect("/s3", error)
            await self._refuse(request, Refusal("InternalError", "a defect; see the node's log"))

    async def _refuse(self, request: "_Request", refused: Refusal) -> None:
        request.code = refused.code
        self.trail.refused(request.operation, request.peer, request.key_name, refused, request.id)
        if request.begun:  # The client finds fewer bytes than were promised.
            _log.warning("s3_answer_cut", why=refused.message, peer=request.peer, id=request.id)
            return
        resource = request.resource
        body = answers.error(refused.code, refused.message, resource, request.id)
        await request.send(Answer(refused.status, body))

    async def _judged(self, request: "_Request") -> None:
        scope = request.scope
        asked = request.asked = asked_of(
            scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
        )
        claim = claim_of(asked)
        check_time(claim, self.clock_unix_s())
        key = self.keys.standing(claim.key_id)
        check_signature(claim, asked, self.keys.secret(key.id))
        request.key_name = key.name
        if asked.method not in ("GET", "HEAD"):
            request.operation = "Change"
            said = f"{asked.method} is refused: datasets are read here and made by `mcctl submit`"
            raise Refusal("MethodNotAllowed", said)
        if request.has_body:
            raise Refusal("BadRequest", "a reading request has no body")
        await self._operation(request, asked, key)

    async def _operation(self, request: "_Request", asked: Asked, key: Key) -> None:
        if not asked.bucket:
            _known(asked, BUCKETS)
            request.operation = "ListBuckets"
            await request.send(Answer(body=self._buckets(asked, key)))
            return
        name, version = which(asked.bucket)
        if not may_see(key, name):
            raise Refusal("AccessDenied", f"the key of {key.name} is for datasets {key.datasets}")
        if asked.key:
            request.operation = "HeadObject" if asked.method == "HEAD" else "GetObject"
            _known(asked, set())
            await self._object(request, asked, key, name, version)
        elif asked.has("location"):
            request.operation = "GetBucketLocation"
            _known(asked, {"location"})
            await self.reading.versions.find(name, version)
            await request.send(Answer(body=answers.location()))
        elif asked.method == "HEAD":
            request.operation = "HeadBucket"
            await self.reading.versions.find(name, version)
            await request.send(Answer(headers=(("x-amz-bucket-region", REGION),)))
        else:
            request.operation = "ListObjects"
            _known(asked, LISTING)
            body = await list_objects(self.reading, asked, name, version)
            await request.send(Answer(body=body))

    def _buckets(self, asked: Asked, key: Key) -> bytes:
        prefix, after = asked.parameter("prefix"), asked.parameter("continuation-token")
        text = asked.parameter("max-buckets", "10000")
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= 10000:
            raise Refusal("InvalidArgument", "max-buckets must be 1 to 10000")
        size = int(text[:6])
        standing = (one for one in self.reading.versions.all() if not one.removed_unix_ms)
        seen = buckets_of(one for one in standing if may_see(key, one.name))
        found = [one for one in seen if one[0].startswith(prefix) and one[0] > after]
        token = found[size - 1][0] if len(found) > size else ""
        return answers.buckets(found[:size], token)

    async def _object(
        self, request: "_Request", asked: Asked, key: Key, name: str, version: str
    ) -> None:
        manifest = await self.reading.manifest(name, version)
        entries = await manifest.file(asked.key)
        found = _Object.of(entries, manifest.record)
        status = unmet(asked.headers, found.etag, found.modified_unix_s)
        if status == 412:
            raise Refusal("PreconditionFailed", f"the object's ETag is {found.etag}")
        if status:
            await request.send(Answer(status, headers=found.tags))
            return
        begin, end = 0, found.size_bytes
        wanted = asked.headers.get("range", "")
        part = range_of(wanted, end) if range_counts(asked.headers, found.etag) else None
        headers = found.headers(asked.key)
        if part:
            begin, end = part
            headers.append(("content-range", f"bytes {begin}-{end - 1}/{found.size_bytes}"))
        headers.append(("content-length", str(end - begin)))
        answer = Answer(206 if part else 200, headers=tuple(headers))
        if asked.method == "HEAD":
            await request.send(answer)
            return
        if key.role != READER:
            raise Refusal("AccessDenied", f"the key of {key.name} lists, and reads no bytes")
        await self.trail.reading(key, f"{name}@{manifest.record.version}", request.peer, request.id)
        async with self._turn():
            give = self._giving(request, key, answer)
            if end > begin:
                size = end - begin
                await self.reading.read(
                    manifest, asked.key, give, offset_bytes=begin, size_bytes=size
                )
            else:
                await give(b"")
            await request.last()

    def _giving(
        self, request: "_Request", key: Key, answer: Answer
    ) -> Callable[[bytes], Awaitable[None]]:
        """Sends pieces; what can still fail before the first one becomes an error of its own."""
        checked_s = time.monotonic()

        async def give(piece: bytes) -> None:
            nonlocal checked_s
            if time.monotonic() - checked_s > CHECK_KEY_S:
                checked_s = time.monotonic()
                self.keys.standing(key.id)
            async with asyncio.timeout(self.limits.stall_s):
                if not request.begun:
                    await request.head(answer)
                await request.piece(piece)

        return give

    def _turn(self) -> "_Turn":
        return _Turn(self._turns)


@dataclass(slots=True)
class _Turn:
    turns: asyncio.Semaphore

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self.turns.acquire()
        except TimeoutError as error:
            said = f"this node reads as many files as it may; {WAIT_S_MAX:g} s brought no turn"
            raise Refusal("SlowDown", said) from error

    async def __aexit__(self, *_: object) -> None:
        self.turns.release()


@dataclass(slots=True)
class _Request:
    """One request and how far its answer has come."""

    scope: Any
    send_: Send
    id: str = "0"
    operation: str = "Unknown"
    code: str = "OK"
    key_name: str = ""
    asked: Asked | None = None
    begun: bool = False

    @property
    def peer(self) -> str:
        host, port = self.scope["client"] or ("", 0)
        return f"{host}:{port}"

    @property
    def resource(self) -> str:
        return self.asked.path.decode("utf-8", "backslashreplace") if self.asked else ""

    @property
    def has_body(self) -> bool:
        names = {name.lower(): value for name, value in self.scope["headers"]}
        return names.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in names

    async def send(self, answer: Answer) -> None:
        length = () if answer.status == 304 else (("content-length", str(len(answer.body))),)
        named = any(name == "content-length" for name, _ in answer.headers)
        headers = answer.headers if named else (*answer.headers, *length)
        await self.head(Answer(answer.status, headers=headers))
        head_only = self.scope["method"] == "HEAD"
        await self.piece(b"" if head_only else answer.body)
        await self.last()

    async def head(self, answer: Answer) -> None:
        told = (
            ("date", formatdate(usegmt=True)),
            ("server", "multicloud"),
            ("x-amz-request-id", self.id),
            *answer.headers,
        )
        if self.has_body:  # Nobody reads it, so the connection is of no further use.
            told = (*told, ("connection", "close"))
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in told]
        self.begun = True
        await self.send_(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )

    async def piece(self, body: bytes) -> None:
        await self.send_({"type": "http.response.body", "body": body, "more_body": True})

    async def last(self) -> None:
        await self.send_({"type": "http.response.body", "body": b"", "more_body": False})


@dataclass(frozen=True, slots=True)
class _Object:
    size_bytes: int
    etag: str
    modified_unix_s: int
    version: str

    @staticmethod
    def of(entries: list[records_pb2.ManifestFile], record: records_pb2.VersionRecord) -> "_Object":
        modified_ms = entries[0].modified_unix_ms or record.created_unix_ms
        etag = whole_hash(entries).hex()
        return _Object(entries[0].bytes, etag, modified_ms // 1000, record.version)

    @property
    def tags(self) -> tuple[tuple[str, str], ...]:
        return (
            ("etag", f'"{self.etag}"'),
            ("last-modified", formatdate(self.modified_unix_s, usegmt=True)),
            ("x-amz-meta-mc-version", self.version),
        )

    def headers(self, path: bytes) -> list[tuple[str, str]]:
        kind, coding = mimetypes.guess_type(path.decode("utf-8", "replace"), strict=True)
        plain = kind if kind and not coding else "binary/octet-stream"
        return [*self.tags, ("accept-ranges", "bytes"), ("content-type", plain)]


def _known(asked: Asked, names: Iterable[str]) -> None:
    """What a parameter that we do not know would change is refused, not left out."""
    for key, _ in asked.query:
        name = key.decode("utf-8", "replace")
        if name not in names and name not in _ALWAYS and not name.lower().startswith("x-amz-"):
            raise Refusal("NotImplemented", f"?{name} is not offered here")
