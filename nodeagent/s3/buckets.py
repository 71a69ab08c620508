"""Datasets as buckets: `name` is the newest version, `name.v3` is version 3, for ever.

A bucket's name cannot hold an `@`. Whatever ends in `.vN` is a version, so a dataset that is itself
called so is reached by its versions only.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

_VERSIONED = re.compile(r"(.+)\.v([0-9]{1,19})")


class Record(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def created_unix_ms(self) -> int: ...


def which(bucket: str) -> tuple[str, str]:
    """Name and version of a bucket; no version: the newest."""
    found = _VERSIONED.fullmatch(bucket)
    return (found[1], found[2]) if found else (bucket, "")


def buckets_of(records: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """The buckets of versions, which come by name, the oldest first; and when each was made."""
    newest: dict[str, int] = {}
    versions: list[tuple[str, int]] = []
    for record in records:
        newest[record.name] = record.created_unix_ms
        if record.version.isdecimal():
            versions.append((f"{record.name}.v{record.version}", record.created_unix_ms))
    names = [(name, made) for name, made in newest.items() if not _VERSIONED.fullmatch(name)]
    yield from sorted(names + versions)
