"""Names of sources. file://HOST/path is a laptop's, node://NAME/path a node's: paths are bytes,
quoted with percent signs where they are no plain text. Keys of buckets (s3://, gs://, az://) and
web addresses stand as they are.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from multicloud.errors import McError

LAPTOP, NODE = "file", "node"
CLOUDS = ("s3", "gs", "az")
LIST = "list+"  # Before a web address: what is there names one address a line.
WEB = ("https", "http", f"{LIST}https", f"{LIST}http")
DIRECT = (*CLOUDS, *WEB)  # Whichever node may reads them by itself.
PLAIN = "/-_.~!$&'()*+,;=:@ "  # What people may read as it is.
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}")
ENDPOINT = re.compile(r"\?endpoint=([a-z0-9][a-z0-9._-]{0,62})\Z")
WRITTEN = {
    LAPTOP: "file://HOST/path, with an absolute path",
    NODE: "node://NAME/path, with an absolute path",
    "s3": "s3://BUCKET/prefix/",
    "gs": "gs://BUCKET/prefix/",
    "az": "az://ACCOUNT/CONTAINER/prefix/",
}


@dataclass(frozen=True, slots=True)
class SourceName:
    kind: str
    host: str  # A laptop's name; a node's name or id; a bucket, az: ACCOUNT/CONTAINER; a server.
    path: bytes  # Absolute. Of a bucket: what keys begin with, behind a slash.
    endpoint: str = ""  # Of a bucket: a name in the nodes' configuration.
    written: str = ""

    @property
    def uri(self) -> str:
        quoted = quote_from_bytes(self.path, safe=PLAIN)
        return self.written or f"{self.kind}://{self.host}{quoted}"

    @property
    def prefix(self) -> str:
        return self.path[1:].decode()


def file_uri(host: str, path: bytes) -> str:
    """The identity of a folder or file on a laptop: the same there again, the same source."""
    return SourceName(LAPTOP, host, path).uri


@lru_cache(1024)
def parse(uri: str) -> SourceName:
    """Raises BAD_REQUEST with what is wrong; UNSUPPORTED where no source of that kind is built."""
    kind, colon, rest = uri.partition("://")
    if colon and kind in CLOUDS:
        return _bucket(kind, rest, uri)
    try:
        parts = urlsplit(uri, allow_fragments=False)
        host = parts.netloc
        if parts.scheme in WEB:
            return _web(uri, parts.scheme, parts.hostname or "", parts.port)
    except ValueError as error:
        raise McError("BAD_REQUEST", f"{uri[:200]!r} is no name of a source: {error}") from error
    if parts.scheme not in (LAPTOP, NODE):
        said = f"no source of the kind {parts.scheme or uri[:40]!r} can be read here"
        raise McError("UNSUPPORTED", said, next="name a local path, or node://NAME/path")
    # A question mark is an ordinary character of a path.
    query = f"?{parts.query}" if parts.query or uri.endswith("?") else ""
    path = unquote_to_bytes(parts.path + query)
    if not host or not path.startswith(b"/") or b"\0" in path:
        raise _wrong(parts.scheme, uri)
    if b".." in path.split(b"/"):
        said = f"{uri[:200]!r} goes through '..'"
        raise McError("BAD_REQUEST", said, next="name the folder itself")
    return SourceName(parts.scheme, host, path)


def _bucket(kind: str, rest: str, uri: str) -> SourceName:
    endpoint = ""
    if found := ENDPOINT.search(rest):
        endpoint, rest = found[1], rest[: found.start()]
    words = rest.split("/", 2 if kind == "az" else 1)
    count = 2 if kind == "az" else 1
    names, prefix = words[:count], "".join(words[count:])
    if len(names) < count or not all(BUCKET.fullmatch(name) for name in names) or "\0" in prefix:
        raise _wrong(kind, uri)
    return SourceName(kind, "/".join(names), b"/" + prefix.encode(), endpoint, uri)


def _web(uri: str, kind: str, host: str, port: int | None) -> SourceName:
    """`port` was read by now: one that is no number is refused."""
    parts = urlsplit(uri)
    if not host or parts.username is not None or parts.fragment or not uri.isascii():
        rule = "https://HOST/path in ASCII, without a user, a password or a fragment"
        # Never shown: there may be a password in it.
        raise McError("BAD_REQUEST", f"that is no address of a web server: write {rule}")
    return SourceName(kind, f"{host}:{port}" if port else host, parts.path.encode(), "", uri)


def _wrong(kind: str, uri: str) -> McError:
    said = f"{uri[:200]!r} is no name of a source: write {WRITTEN[kind]}"
    return McError("BAD_REQUEST", said)
