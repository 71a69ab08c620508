"""A request as it came, taken apart by rule: path, query, range, conditions. Pure, and bounded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from nodeagent.s3.refusal import Refusal

PARAMETERS_MAX = 64
KEY_BYTES_MAX = 4096
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: bytes  # Decoded.
    query: Sequence[tuple[bytes, bytes]]  # Decoded, in the order in which they came.
    headers: Mapping[str, str]  # Names in lower case; several of a name are joined by commas.

    @property
    def bucket(self) -> str:
        return self.path[1:].partition(b"/")[0].decode("utf-8", "replace")

    @property
    def key(self) -> bytes:
        return self.path[1:].partition(b"/")[2]

    def parameter(self, name: str, default: str = "") -> str:
        return self.parameter_bytes(name, default.encode()).decode("utf-8", "replace")

    def parameter_bytes(self, name: str, default: bytes = b"") -> bytes:
        wanted = name.encode()
        return next((value for key, value in self.query if key == wanted), default)

    def has(self, name: str) -> bool:
        return any(key == name.encode() for key, _ in self.query)


def asked_of(
    method: str, raw_path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> Asked:
    if not raw_path.startswith(b"/") or _BAD_ESCAPE.search(raw_path):
        raise Refusal("InvalidURI", "the path is not like /bucket/key, percent-encoded")
    path = unquote_to_bytes(raw_path)
    if len(path) > KEY_BYTES_MAX:
        raise Refusal("InvalidURI", f"the path has more than {KEY_BYTES_MAX} bytes")
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        joined[key] = f"{joined[key]},{text}" if key in joined else text
    return Asked(method, path, _query(query), joined)


def _query(query: bytes) -> list[tuple[bytes, bytes]]:
    if _BAD_ESCAPE.search(query):
        raise Refusal("InvalidURI", "the query is not percent-encoded")
    parts = [part for part in query.split(b"&") if part]
    if len(parts) > PARAMETERS_MAX:
        raise Refusal("InvalidURI", f"the query has more than {PARAMETERS_MAX} parameters")
    pairs = (part.partition(b"=") for part in parts)
    return [(_decoded(key), _decoded(value)) for key, _, value in pairs]


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def encoded(text: bytes, safe: str = "") -> str:
    """As AWS writes it, in signatures and listings: all but the unreserved characters."""
    return quote(text, safe=f"-_.~{safe}")


def range_of(text: str, size_bytes: int) -> tuple[int, int] | None:
    """Begin and end of the one range of a `Range` header; None: the whole, as for other forms."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size_bytes - int(last)), size_bytes
    else:
        begin, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < int(first):
            return None
    if begin >= end:
        raise Refusal("InvalidRange", f"the object has {size_bytes} bytes")
    return begin, end


def unmet(headers: Mapping[str, str], etag: str, modified_unix_s: int) -> int:
    """304 or 412 where a condition of the request does not hold, else 0."""
    wanted, before = headers.get("if-match"), _unix_s(headers.get("if-unmodified-since"))
    if wanted is not None and not _names(wanted, etag):
        return 412
    if wanted is None and before is not None and modified_unix_s > before:
        return 412
    if (known := headers.get("if-none-match")) is not None:
        return 304 if _names(known, etag) else 0
    since = _unix_s(headers.get("if-modified-since"))
    return 304 if since is not None and modified_unix_s <= since else 0


def range_counts(headers: Mapping[str, str], etag: str) -> bool:
    """A range counts unless `If-Range` names other content."""
    wanted = headers.get("if-range")
    return wanted is None or _names(wanted, etag)


def _names(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag in tags


def _unix_s(date: str | None) -> int | None:
    try:
        return None if date is None else int(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError):
        return None  # As HTTP has it, a date that is none says nothing.
