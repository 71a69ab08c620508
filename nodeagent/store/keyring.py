"""The keyring: which dataset keys exist, and how one is had, made, rotated and shredded.

Where records are kept is a small contract, with one version in memory and one in a folder;
`keyring_council` decides them for a whole cluster.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from multicloud.errors import McError
from nodeagent.core.chunk.key_record import KeyRecord, rewrap, unwrap
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey


class Keyring(Protocol):
    """Records by the id of their key. What returned is durable."""

    def get(self, key_id: bytes) -> KeyRecord | None: ...
    def put(self, record: KeyRecord) -> None:
        """Adds it, or replaces the same key wrapped in another way."""
        ...

    def remove(self, key_id: bytes) -> bool:
        """Shreds every chunk of that key; False when there was no record."""
        ...

    def records(self) -> Iterable[KeyRecord]: ...


class MemoryKeyring:
    """For tests, and for what others decide anyway."""

    def __init__(self) -> None:
        self._records: dict[bytes, KeyRecord] = {}

    def get(self, key_id: bytes) -> KeyRecord | None:
        return self._records.get(key_id)

    def put(self, record: KeyRecord) -> None:
        check_same(self.get(record.key_id), record)
        self._records[record.key_id] = record

    def remove(self, key_id: bytes) -> bool:
        return self._records.pop(key_id, None) is not None

    def records(self) -> Iterable[KeyRecord]:
        return tuple(self._records.values())


def dataset_key(
    keyring: Keyring, key_id: bytes, cluster_keys: Mapping[int, ClusterKey]
) -> DatasetKey:
    """The key itself, by the cluster keys that this node has, by version."""
    return opened(keyring.get(key_id), key_id, cluster_keys)


def opened(
    record: KeyRecord | None, key_id: bytes, cluster_keys: Mapping[int, ClusterKey]
) -> DatasetKey:
    """The key of a record that was looked up; KEY_MISSING where there is none."""
    if record is None:
        said = f"there is no key {key_id.hex()} here: its dataset was shredded, or it never came"
        raise McError("KEY_MISSING", said, facts={"key": key_id.hex()})
    cluster_key = cluster_keys.get(record.cluster_key_version)
    if cluster_key is None:
        raise McError(
            "KEY_MISSING",
            f"the key {key_id.hex()} is wrapped by version {record.cluster_key_version} "
            "of the cluster key, which is not on this node",
            facts={"key": key_id.hex()},
        )
    return unwrap(record, cluster_key)


def rotate(
    keyring: Keyring, old: ClusterKey, new: ClusterKey, *, nonce: Callable[[], bytes]
) -> int:
    """Rewraps what `old` wraps and says how many; after a crash, once more does the rest.

    The old cluster key may go when this has returned 0 on every member.
    """
    assert new.version > old.version
    due = [record for record in keyring.records() if record.cluster_key_version == old.version]
    for record in due:
        keyring.put(rewrap(record, old, new, nonce=nonce()))
    return len(due)


def check_same(known: KeyRecord | None, record: KeyRecord) -> None:
    """The id of a key is for ever: another key under it would make chunks unreadable."""
    if known is not None and not known.same_key_as(record):
        raise McError(
            "ALREADY_EXISTS",
            f"key {record.key_id.hex()} exists, for dataset {known.dataset!r}",
            next="draw a new id for the new key",
        )
