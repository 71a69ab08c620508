"""Names of sources: file://HOST/path is a laptop's, node://NAME/path a node's. Paths are bytes,
quoted with percent signs where they are no plain text.
"""

from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from multicloud.errors import McError

LAPTOP, NODE = "file", "node"
PLAIN = "/-_.~!$&'()*+,;=:@ "  # What people may read as it is.


@dataclass(frozen=True, slots=True)
class SourceName:
    kind: str
    host: str  # A laptop's name, or a node's name or id.
    path: bytes  # Absolute.

    @property
    def uri(self) -> str:
        return f"{self.kind}://{self.host}{quote_from_bytes(self.path, safe=PLAIN)}"


def file_uri(host: str, path: bytes) -> str:
    """The identity of a folder or file on a laptop: the same there again, the same source."""
    return SourceName(LAPTOP, host, path).uri


def parse(uri: str) -> SourceName:
    """Raises BAD_REQUEST with what is wrong; UNSUPPORTED where no source of that kind is built."""
    try:
        parts = urlsplit(uri, allow_fragments=False)
        host = parts.netloc
    except ValueError as error:
        raise McError("BAD_REQUEST", f"{uri[:200]!r} is no name of a source: {error}") from error
    if parts.scheme not in (LAPTOP, NODE):
        said = f"no source of the kind {parts.scheme or uri[:40]!r} can be read here"
        raise McError("UNSUPPORTED", said, next="name a local path, or node://NAME/path")
    # A question mark is an ordinary character of a path.
    query = f"?{parts.query}" if parts.query or uri.endswith("?") else ""
    path = unquote_to_bytes(parts.path + query)
    if not host or not path.startswith(b"/") or b"\0" in path:
        rule = f"{parts.scheme}://NAME/path, with an absolute path"
        raise McError("BAD_REQUEST", f"{uri[:200]!r} is no name of a source: write {rule}")
    if b".." in path.split(b"/"):
        said = f"{uri[:200]!r} goes through '..'"
        raise McError("BAD_REQUEST", said, next="name the folder itself")
    return SourceName(parts.scheme, host, path)
