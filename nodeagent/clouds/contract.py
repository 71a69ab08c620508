"""What a bucket is to the rest, whichever cloud it is in. Sources read from it, stores and exports
write to it. One conformance suite proves it of every driver.

- A driver tries nothing again by itself: its SDK's retries are off. Each of its requests takes
  its turn, and whoever gives the turns decides on pace, retries and breakers.
- Errors are `McError`; `TOO_BUSY` with `retry_after_s` is what a cloud says when it throttles,
  `NOT_ALLOWED` names the grant that is missing, `UNREACHABLE` the endpoint.
- Credentials are those of this node. They are never shown, logged, or sent on.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
S3, GCS, AZURE = "s3", "gs", "az"  # As they are written: s3://BUCKET/key, gs://…, az://…


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket. `endpoint` is a name in `[clouds.endpoints]`; empty is the cloud itself."""

    kind: str
    bucket: str  # az: ACCOUNT/CONTAINER
    endpoint: str = ""

    @property
    def uri(self) -> str:
        return f"{self.kind}://{self.bucket}"


@dataclass(frozen=True, slots=True)
class Object:
    """One state of one key. Two objects with one pin hold the same bytes."""

    key: str
    size_bytes: int
    pin: str  # etag, generation: what a later read demands. Never empty.
    modified_unix_s: float
    checksums: tuple[
        tuple[str, bytes], ...
    ] = ()  # ("crc32c", …): of the whole, where the cloud says.


@dataclass(frozen=True, slots=True)
class Page:
    objects: Sequence[Object]
    cursor: str  # Where the next page begins, valid for days; empty: there is none.


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an endpoint was seen to keep of its promises."""

    ranged_read: bool
    pinned_read: bool
    put_if_absent: bool
    checksums: bool
    clock_off_s: float | None = None  # The cloud's less ours; None where nothing was written.
    said: tuple[str, ...] = ()  # In plain words: what is done instead of what it cannot do.


@dataclass(frozen=True, slots=True)
class Shape:
    """How much a driver asks for at once."""

    page_keys: int = 1000
    part_bytes: int = 8 << 20  # What it holds of an object, times two; S3 takes none below 5 MiB.


class Turns(Protocol):
    """Every request to a cloud goes through `take`, which may wait, and try it again."""

    async def take(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        """`name` as the cloud calls the request; `size_bytes` that it moves."""
        ...


class AtOnce:
    """No pace and no second try."""

    async def take(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        return await call()


class Bucket(Protocol):
    @property
    def place(self) -> Place: ...
    @property
    def region(self) -> str:
        """As the cloud calls it; empty when it does not say."""
        ...

    async def page(self, prefix: str, cursor: str = "", after: str = "") -> Page:
        """In the order of the keys' bytes (az: in Azure's own, which differs for rare characters).
        `after` begins behind a key; a cursor wins over it.
        """
        ...

    async def head(self, key: str) -> Object:
        """NOT_FOUND when there is no such key."""
        ...

    def read(self, key: str, pin: str, first: int, count: int) -> AsyncIterator[bytes]:
        """Bytes of exactly that state, in pieces of at most a part, each whole before it is given.
        CHANGED when the key has another now, NOT_FOUND when none; DAMAGE when fewer or more bytes
        came than were asked for. Of `count` 0 only the state is checked.
        """
        ...

    async def put(
        self, key: str, parts: AsyncIterator[bytes], size_bytes: int, *, absent: bool
    ) -> Object:
        """One object, whole or not at all, in parts where it is large. `absent`: ALREADY_EXISTS
        when there is one, decided by the cloud. The checksum that it keeps is compared with ours.
        DAMAGE, and no object, when the parts are not `size_bytes` together.
        """
        ...

    async def delete(self, key: str) -> None:
        """Nothing happens when there is none."""
        ...

    async def sweep(self, prefix: str, older_than_s: float) -> int:
        """Ends uploads that somebody began and never finished; how many."""
        ...

    async def probe(self, prefix: str, *, write: bool) -> Abilities:
        """Tries it out, and leaves nothing behind."""
        ...

    async def close(self) -> None: ...


class Clouds(Protocol):
    """Every bucket that this node can reach, each behind limits, retries and a breaker."""

    async def bucket(self, place: Place) -> Bucket:
        """One for each place, the same each time, closed by `close` below and by nobody else.

        CONFIG_INVALID and EXTRA_MISSING say why it cannot be; whether it is there and lets us in
        is told by the first request.
        """
        ...

    async def close(self) -> None: ...
