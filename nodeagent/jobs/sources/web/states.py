"""What a server says of a file, as one word of a listing, and whether an answer is still of it.

r|e|"abc"      in ranges, by its etag
w|m|Tue, …     as a whole only, by its time of change
r|s|           by nothing but its size
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol, Self

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
ETAG, MODIFIED, SIZE = "e", "m", "s"


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class State:
    size_bytes: int
    kind: str
    value: str
    ranges: bool

    @classmethod
    def of(cls, headers: Mapping[str, str], size_bytes: int, *, ranges: bool) -> Self:
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if etag and not etag.startswith("W/"):  # A weak one is of other bytes, too.
            return cls(size_bytes, ETAG, etag[:512], ranges)
        if modified:
            return cls(size_bytes, MODIFIED, modified[:64], ranges)
        return cls(size_bytes, SIZE, "", ranges)

    @classmethod
    def read(cls, pin: str, size_bytes: int) -> Self:
        how, _, rest = pin.partition("|")
        kind, _, value = rest.partition("|")
        return cls(size_bytes, kind, value, how == "r")

    @property
    def pin(self) -> str:
        return f"{'r' if self.ranges else 'w'}|{self.kind}|{self.value}"

    @property
    def conditions(self) -> dict[str, str]:
        if self.kind == ETAG:
            return {"If-Match": self.value}
        return {"If-Unmodified-Since": self.value} if self.kind == MODIFIED else {}

    def is_that_of(self, headers: Mapping[str, str], size_bytes: int) -> bool:
        """Servers are free to ignore conditions."""
        seen = State.of(headers, size_bytes, ranges=self.ranges)
        return (seen.kind, seen.value, seen.size_bytes) == (self.kind, self.value, self.size_bytes)


def modified_unix_ms(headers: Mapping[str, str]) -> int:
    try:
        return int(parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return 0


def whole_bytes(status: int, headers: Mapping[str, str]) -> int | None:
    """How large the file is of which this is an answer; None: it does not say."""
    if status == 206:
        found = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        return int(found[3]) if found else None
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def begins_at(answer: Answer, offset_bytes: int) -> bool:
    """Whether it is a range, and the one that was asked for."""
    found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return answer.status == 206 and found is not None and int(found[1]) == offset_bytes
