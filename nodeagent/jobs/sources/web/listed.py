"""Lists of web addresses: a line each, or JSON. The same list gives the same paths everywhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from multicloud.errors import McError
from nodeagent.jobs.sources import beneath

LIST_BYTES_MAX = 64 << 20
URLS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    url: str
    path: bytes


def one(url: str) -> Wanted:
    """A single address: its file has the last name of the path."""
    parts = urlsplit(url)
    last = unquote_to_bytes(parts.path.rstrip("/").rpartition("/")[2])
    return Wanted(url, last if beneath.is_inside(last) else (parts.hostname or "").encode())


def several(base: str, data: bytes) -> list[Wanted]:
    """INPUT_BROKEN when it is no list. Addresses may be relative to the list's own."""
    try:
        text = data.decode()
        entries = list(_json(text) if text.lstrip()[:1] in ("[", "{") else _lines(text))
    except (ValueError, TypeError, KeyError) as error:
        raise McError("INPUT_BROKEN", f"the list of addresses is none: {error}") from error
    if not 0 < len(entries) <= URLS_MAX:
        said = f"the list has {len(entries)} addresses; 1 to {URLS_MAX} may be"
        raise McError("INPUT_BROKEN", said)
    found: dict[bytes, Wanted] = {}
    for url, path in entries:
        wanted = urljoin(base, url)
        named = path.encode() if path else _path(wanted)
        if not beneath.is_inside(named):
            raise McError(
                "INPUT_BROKEN", f"{named[:200]!r} is no path for a file", next="give it one"
            )
        if found.setdefault(named, Wanted(wanted, named)).url != wanted:
            said = f"two addresses of the list would be {named[:200]!r}"
            raise McError("INPUT_BROKEN", said, next='write [{"url": …, "path": …}, …]')
    return sorted(found.values(), key=lambda each: each.path)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.strip()
        if words and not words.startswith("#"):
            yield words, ""


def _json(text: str) -> Iterator[tuple[str, str]]:
    """A list of addresses, or of {"url": …, "path": …}; or the same as "files" of an object."""
    made = json.loads(text)
    for entry in made["files"] if isinstance(made, dict) else made:
        url, path = (entry, "") if isinstance(entry, str) else (entry["url"], entry.get("path", ""))
        if not isinstance(url, str) or not isinstance(path, str):
            raise TypeError("url and path are texts")
        yield url, path


def _path(url: str) -> bytes:
    """host/path of an address, with its query, so that no two are the same."""
    parts = urlsplit(url)
    path = b"/".join(word for word in unquote_to_bytes(parts.path).split(b"/") if word)
    query = f"?{parts.query}".encode() if parts.query else b""
    return (parts.hostname or "").encode() + b"/" + path + query
