"""ListObjects, in its first and its second version, over the manifest of one version."""

import base64
import binascii
from typing import Protocol

from nodeagent.jobs.datasets.listing import Found, listed
from nodeagent.jobs.datasets.manifest_reading import ManifestReading
from nodeagent.jobs.datasets.reading import whole_hash
from nodeagent.s3 import answers
from nodeagent.s3.answers import Listed, Listing
from nodeagent.s3.asked import Asked
from nodeagent.s3.refusal import Refusal

KEYS_MAX = 1000


class Versioned(Protocol):
    async def manifest(self, name: str, version: str = "") -> ManifestReading: ...


async def list_objects(reading: Versioned, asked: Asked, name: str, version: str) -> bytes:
    second = asked.parameter("list-type") == "2"
    if asked.has("list-type") and not second:
        raise Refusal("InvalidArgument", "list-type must be 2, or absent")
    size = _size(asked)
    encoding = asked.parameter("encoding-type")
    if encoding not in ("", "url"):
        raise Refusal("InvalidArgument", "encoding-type must be url, or absent")
    prefix = asked.parameter_bytes("prefix")
    delimiter = asked.parameter_bytes("delimiter")
    token = asked.parameter("continuation-token") if second else ""
    begin = b""
    if token:  # The version stays, even where a newer one has come meanwhile.
        version, begin = _opened(token, version)
    elif after := asked.parameter_bytes("start-after" if second else "marker"):
        folded = bool(delimiter) and after.endswith(delimiter) and not second
        begin = Found(after, []).behind if folded else after + b"\0"
    manifest = await reading.manifest(name, version)
    keys, behind, more = await _some(manifest, prefix, delimiter, begin, size)
    told = [("MaxKeys", str(size))]
    if second:
        told.append(("KeyCount", str(len(keys))))
        if token:
            told.append(("ContinuationToken", token))
        if more:
            told.append(("NextContinuationToken", _token(manifest.record.version, behind)))
    echoed = [("Prefix", prefix), ("Delimiter", delimiter)]
    start = "StartAfter" if second else "Marker"
    echoed.append((start, asked.parameter_bytes("start-after" if second else "marker")))
    if more and not second:
        echoed.append(("NextMarker", keys[-1].path))
    shown = [(field, value) for field, value in echoed if value or field in ("Prefix", "Marker")]
    return answers.listing(Listing(asked.bucket, encoding == "url", more, keys, shown, told))


async def _some(
    manifest: ManifestReading, prefix: bytes, delimiter: bytes, begin: bytes, size: int
) -> tuple[list[Listed], bytes, bool]:
    """So many, where the next page begins, and whether there is one."""
    keys: list[Listed] = []
    if not size:
        return keys, begin, False
    made_ms = manifest.record.created_unix_ms
    async for found in listed(manifest, prefix, delimiter, begin):
        if len(keys) == size:
            return keys, begin, True
        if found.entries:
            first = found.entries[0]
            modified_ms = first.modified_unix_ms or made_ms
            etag = whole_hash(found.entries).hex()
            keys.append(Listed(found.path, first.bytes, etag, modified_ms))
        else:
            keys.append(Listed(found.path))
        begin = found.behind
    return keys, begin, False


def _size(asked: Asked) -> int:
    text = asked.parameter("max-keys", str(KEYS_MAX))
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refusal("InvalidArgument", f"max-keys must be 0 to {KEYS_MAX}")
    return min(int(text), KEYS_MAX)


def _token(version: str, begin: bytes) -> str:
    return base64.urlsafe_b64encode(version.encode() + b"\0" + begin).decode()


def _opened(token: str, asked_version: str) -> tuple[str, bytes]:
    try:
        whole = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        version, _, begin = whole.partition(b"\0")
        named = version.decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise Refusal("InvalidArgument", "the continuation token is not one of ours") from error
    if not named.isalnum() or asked_version not in ("", named):
        raise Refusal("InvalidArgument", "the continuation token is of another listing")
    return named, begin
