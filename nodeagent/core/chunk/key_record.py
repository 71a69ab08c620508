"""A record of the keyring: a dataset key wrapped by the cluster key, bound to what it is for.

Rotation rewraps records and touches no chunk; a dataset whose record is gone is shredded.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from multicloud.errors import McError
from nodeagent.core.chunk.keys import KEY_BYTES, KEY_ID_BYTES, ClusterKey, DatasetKey, derive

FORMAT = "multicloud keyring record"
FORMAT_VERSION = 1
WRAP_CONTEXT = b"multicloud keyring 1"
DATASET_BYTES_MAX = 255
NONCE_BYTES = 12
WRAPPED_BYTES = KEY_BYTES + 16
_BOUND = Struct(">16sIQ")  # key id, version of the cluster key, created


@dataclass(frozen=True, slots=True)
class KeyRecord:
    key_id: bytes
    dataset: str
    cluster_key_version: int
    created_unix_ms: int
    nonce: bytes
    wrapped: bytes

    def same_key_as(self, other: "KeyRecord") -> bool:
        """They may differ in how the key is wrapped, never in what it is."""
        mine = (self.key_id, self.dataset, self.created_unix_ms)
        return mine == (other.key_id, other.dataset, other.created_unix_ms)


def wrap(
    key: DatasetKey, cluster_key: ClusterKey, *, dataset: str, created_unix_ms: int, nonce: bytes
) -> KeyRecord:
    """`nonce` is 12 random bytes."""
    assert len(nonce) == NONCE_BYTES
    bound = _bound(key.id, dataset, cluster_key.version, created_unix_ms)
    wrapped = _cipher(cluster_key).encrypt(nonce, key.secret, bound)
    return KeyRecord(key.id, dataset, cluster_key.version, created_unix_ms, nonce, wrapped)


def unwrap(record: KeyRecord, cluster_key: ClusterKey) -> DatasetKey:
    which = f"the key {record.key_id.hex()} of dataset {record.dataset!r}"
    if cluster_key.version != record.cluster_key_version:
        raise McError(
            "KEY_MISSING",
            f"{which} is wrapped by version {record.cluster_key_version} of the cluster key, "
            f"and version {cluster_key.version} is here",
        )
    bound = _bound(
        record.key_id, record.dataset, record.cluster_key_version, record.created_unix_ms
    )
    try:
        secret = _cipher(cluster_key).decrypt(record.nonce, record.wrapped, bound)
    except InvalidTag as error:
        said = f"{which} does not unwrap: its record was changed, or another cluster key wrapped it"
        raise McError("DAMAGE", said, next="put back the keyring from a backup") from error
    return DatasetKey(record.key_id, secret)


def rewrap(record: KeyRecord, old: ClusterKey, new: ClusterKey, *, nonce: bytes) -> KeyRecord:
    """The same key under a new cluster key."""
    return wrap(
        unwrap(record, old),
        new,
        dataset=record.dataset,
        created_unix_ms=record.created_unix_ms,
        nonce=nonce,
    )


def encode(record: KeyRecord) -> bytes:
    """As a file of JSON."""
    fields = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key_id": record.key_id.hex(),
        "dataset": record.dataset,
        "cluster_key_version": record.cluster_key_version,
        "created_unix_ms": record.created_unix_ms,
        "nonce": base64.b64encode(record.nonce).decode(),
        "wrapped": base64.b64encode(record.wrapped).decode(),
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def decode(content: bytes, where: str) -> KeyRecord:
    """`where` names the file in an error."""
    try:
        fields = json.loads(content)
        known = (fields["format"], fields["format_version"])
        if known != (FORMAT, FORMAT_VERSION):
            said = f"{where} says that it is {str(known)[:80]}, which this release does not read"
            raise McError("UNSUPPORTED", said, next="read it with a newer release")
        record = KeyRecord(
            bytes.fromhex(fields["key_id"]),
            fields["dataset"],
            fields["cluster_key_version"],
            fields["created_unix_ms"],
            base64.b64decode(fields["nonce"], validate=True),
            base64.b64decode(fields["wrapped"], validate=True),
        )
        _check(record)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        said = f"{where} is not a record of the keyring: {type(error).__name__} {str(error)[:80]}"
        raise McError("DAMAGE", said, next="put it back from a backup") from error
    return record


def _check(record: KeyRecord) -> None:
    numbers = (record.cluster_key_version, record.created_unix_ms)
    if not isinstance(record.dataset, str) or any(type(number) is not int for number in numbers):
        raise ValueError("a field has another type")
    if not 0 < len(record.dataset.encode()) <= DATASET_BYTES_MAX:
        raise ValueError("the name of the dataset is empty or too long")
    if not (0 < numbers[0] < 1 << 32 and 0 <= numbers[1] < 1 << 64):
        raise ValueError("a number is out of range")
    sizes = (len(record.key_id), len(record.nonce), len(record.wrapped))
    if sizes != (KEY_ID_BYTES, NONCE_BYTES, WRAPPED_BYTES):
        raise ValueError("a field has another length")


def _cipher(cluster_key: ClusterKey) -> AESGCM:
    return AESGCM(derive(cluster_key.secret, WRAP_CONTEXT, length_bytes=KEY_BYTES))


def _bound(key_id: bytes, dataset: str, version: int, created_unix_ms: int) -> bytes:
    return WRAP_CONTEXT + _BOUND.pack(key_id, version, created_unix_ms) + dataset.encode()
