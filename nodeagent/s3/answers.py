"""The XML that S3 clients expect. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from nodeagent.s3.asked import encoded
from nodeagent.s3.refusal import Refusal

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
STORAGE_CLASS = "STANDARD"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a listing; without an etag it is a common prefix."""

    path: bytes
    size_bytes: int = 0
    etag: str = ""
    modified_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    bucket: str
    url_encoded: bool
    more: bool
    keys: list[Listed]
    echoed: list[tuple[str, bytes]]  # Parameters, as they were asked.
    told: list[tuple[str, str]]  # Tokens and counts.


def error(code: str, message: str, resource: str, request_id: str) -> bytes:
    fields = (("Code", code), ("Message", message), ("Resource", resource))
    return _whole(f"<Error>{_fields(fields)}<RequestId>{request_id}</RequestId></Error>")


def buckets(found: Iterable[tuple[str, int]], token: str) -> bytes:
    each = "".join(
        f"<Bucket><Name>{escape(name)}</Name><CreationDate>{_date(made)}</CreationDate></Bucket>"
        for name, made in found
    )
    more = f"<ContinuationToken>{escape(token)}</ContinuationToken>" if token else ""
    return _whole(
        f"<ListAllMyBucketsResult {_XMLNS}><Owner><ID>multicloud</ID></Owner>"
        f"<Buckets>{each}</Buckets>{more}</ListAllMyBucketsResult>"
    )


def location() -> bytes:
    """Empty is us-east-1, which clients take when they are told nothing."""
    return _whole(f"<LocationConstraint {_XMLNS}/>")


def listing(found: Listing) -> bytes:
    def name(path: bytes) -> str:
        return encoded(path, safe="/") if found.url_encoded else _text(path)

    parts = [f"<Name>{escape(found.bucket)}</Name>"]
    parts += [f"<{field}>{name(value)}</{field}>" for field, value in found.echoed]
    if found.url_encoded:
        parts.append("<EncodingType>url</EncodingType>")
    parts.append(_fields(found.told))
    parts.append(f"<IsTruncated>{str(found.more).lower()}</IsTruncated>")
    for one in found.keys:
        if one.etag:
            parts.append(
                f"<Contents><Key>{name(one.path)}</Key><Size>{one.size_bytes}</Size>"
                f"<LastModified>{_date(one.modified_unix_ms)}</LastModified>"
                f"<ETag>&quot;{one.etag}&quot;</ETag>"
                f"<StorageClass>{STORAGE_CLASS}</StorageClass></Contents>"
            )
        else:
            prefix = f"<Prefix>{name(one.path)}</Prefix>"
            parts.append(f"<CommonPrefixes>{prefix}</CommonPrefixes>")
    return _whole(f"<ListBucketResult {_XMLNS}>{''.join(parts)}</ListBucketResult>")


def _fields(fields: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<{name}>{escape(_NO_XML.sub('?', value))}</{name}>" for name, value in fields)


def _text(path: bytes) -> str:
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _NO_XML.search(text):
        said = f"{encoded(path, safe='/')} cannot stand in XML: ask with encoding-type=url"
        raise Refusal("InvalidArgument", said)
    return escape(text, {"\r": "&#13;"})


def _date(unix_ms: int) -> str:
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03}Z"


def _whole(xml: str) -> bytes:
    return (_HEAD + xml).encode()
