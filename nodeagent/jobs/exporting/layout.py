"""Where an export puts what, below the prefix that was asked for.

    dir/a.jsonl                       a file of the version, as it was
    _multicloud/files-00000.jsonl     a line for each of the first files: key, size, hashes, origin
    _multicloud/manifest.json         written last: what was exported, and how many such lists

A list is written when its files are; whoever comes again believes it, as far as the objects in the
bucket still have the state that it names.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.clouds.contract import Object, Place
from nodeagent.jobs.datasets.reading import whole_hash
from nodeagent.jobs.sources import beneath, checksums
from nodeagent.jobs.sources.uris import CLOUDS, parse

FOLDER = "_multicloud/"
FORMAT = 1
KEY_BYTES_MAX = 1024
VOLUME_MARK = "volume.json"  # Of `nodeagent.store.bucket`: what lies below belongs to a node.


@dataclass(frozen=True, slots=True)
class Target:
    uri: str
    place: Place
    prefix: str  # Empty, or with a slash at its end.

    @classmethod
    def of(cls, uri: str) -> "Target":
        name = parse(uri)
        if name.kind not in CLOUDS:
            said = f"{uri[:200]!r} is no bucket"
            known = "s3://BUCKET/prefix/, gs://BUCKET/prefix/ or az://ACCOUNT/CONTAINER/prefix/"
            raise McError("BAD_REQUEST", said, next=f"name {known}; `mcctl get` writes to a folder")
        prefix = name.prefix
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        return cls(uri, Place(name.kind, name.host, name.endpoint), prefix)

    @property
    def manifest(self) -> str:
        return f"{self.prefix}{FOLDER}manifest.json"

    @property
    def shown(self) -> str:
        at = f" at {self.place.endpoint}" if self.place.endpoint else ""
        return f"{self.place.uri}/{self.prefix}{at}"

    def list_of(self, number: int) -> str:
        return f"{self.prefix}{FOLDER}files-{number:05}.jsonl"

    def key_of(self, path: bytes) -> str:
        """BAD_REQUEST when no object can be called so."""
        try:
            name = path.decode()
        except UnicodeDecodeError as error:
            raise McError("BAD_REQUEST", "its name is no text, so no key") from error
        key = self.prefix + name
        if len(key.encode()) > KEY_BYTES_MAX or not beneath.is_inside(path):
            raise McError("BAD_REQUEST", "its name is too long or odd for a key")
        if name.startswith(FOLDER):
            raise McError("BAD_REQUEST", f"{FOLDER} is where the manifest of an export stands")
        return key

    def marks_above(self) -> list[str]:
        """Keys that are there when the place belongs to a node's volume."""
        words = self.prefix.split("/")[:-1]
        folders = ["/".join(words[:n]) + "/" if n else "" for n in range(len(words) + 1)]
        return [folder + VOLUME_MARK for folder in folders]


def head(name: str, version: str) -> dict[str, Any]:
    return {"multicloud_export": FORMAT, "dataset": name, "version": version}


def line_of(key: str, entries: Sequence[records_pb2.ManifestFile], made: Object) -> dict[str, Any]:
    first = entries[0]
    return {
        "key": key,
        "bytes": first.bytes,
        "blake3": whole_hash(entries).hex(),
        "parts": sum(len(entry.parts) for entry in entries),
        "checksum": checksums.told(made.checksums),
        "state": made.pin,
        "records": first.records,
        "modified_unix_ms": first.modified_unix_ms,
        "mode": first.mode,
        "origin": first.origin.decode("utf-8", "backslashreplace"),
        "origin_etag": first.origin_etag,
    }


def list_bytes(opening: dict[str, Any], lines: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in (opening, *lines)).encode()


def read_list(data: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Its opening, and its lines by key. Of what is no list there is nothing to be believed."""
    try:
        opening, *lines = (json.loads(line) for line in data.splitlines())
        return dict(opening), {line["key"]: line for line in lines}
    except (ValueError, KeyError, TypeError):
        return {}, {}
