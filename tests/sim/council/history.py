"""What clients were told, and whether registers that decide once could have told them that."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """One operation that ended: a change that succeeded, or what a read or a failed compare saw."""

    key: str
    begun_s: float
    ended_s: float
    version: int
    value: bytes
    changed: bool
    operation: str = ""  # Writes itself as the value; a read has none.


def violations(history: Sequence[Seen]) -> list[str]:
    """Every rule of a register, per key; empty when all hold."""
    found: list[str] = []
    for key in sorted({seen.key for seen in history}):
        of_key = [seen for seen in history if seen.key == key]
        found += _one_change_each(key, of_key)
        found += _one_value_each(key, of_key)
        found += _nothing_older(key, of_key)
        found += _told_the_truth(key, of_key)
    return found


def _one_change_each(key: str, history: Sequence[Seen]) -> list[str]:
    made: set[int] = set()
    found = []
    for seen in history:
        if seen.changed:
            if seen.version in made:
                found.append(f"{key}: two changes made version {seen.version}")
            made.add(seen.version)
    return found


def _one_value_each(key: str, history: Sequence[Seen]) -> list[str]:
    values: dict[int, bytes] = {}
    found = []
    for seen in history:
        value = values.setdefault(seen.version, seen.value)
        if value != seen.value:
            found.append(f"{key}: version {seen.version} was {value!r} and {seen.value!r}")
    return found


def _nothing_older(key: str, history: Sequence[Seen]) -> list[str]:
    """An operation that began after another had ended sees its version or a newer one; a change
    makes a newer one."""
    found = []
    ended = sorted(history, key=lambda seen: seen.ended_s)
    newest, at = -1, 0
    for seen in sorted(history, key=lambda seen: seen.begun_s):
        while at < len(ended) and ended[at].ended_s < seen.begun_s:
            newest, at = max(newest, ended[at].version), at + 1
        least = newest + 1 if seen.changed else newest
        if seen.version < least:
            found.append(f"{key}: version {seen.version} was told after version {newest}")
    return found


def _told_the_truth(key: str, history: Sequence[Seen]) -> list[str]:
    """No operation was told that it failed while its value stands."""
    values = {seen.value for seen in history}
    failed = [seen.operation for seen in history if seen.operation and not seen.changed]
    return [
        f"{key}: {o} stands and was told that it failed" for o in failed if o.encode() in values
    ]
