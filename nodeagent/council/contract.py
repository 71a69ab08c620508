"""What whoever decides something may rely on, whichever engine keeps the registers. One
conformance suite proves it.

- A register holds a version and a value; nobody has set version 0. Versions go up by one.
- `get` and `compare_and_set` are linearizable. Where no majority is there they raise NO_MAJORITY
  with the members that are missing, and decide nothing that they did not say.
- Asked again with the same operation id, `compare_and_set` tells what became of the first time.
- `list` and `watch` are this node's copy: there at all times, and perhaps seconds old.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.council.registers import NEXT_KEY, VALUE_BYTES_MAX
from multicloud.errors import FieldFault, McError

EPOCH_KEY = "epoch"  # In copies: who the members are; its version is the epoch's number.
RESERVED_KEYS = frozenset({NEXT_KEY, EPOCH_KEY})
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]{0,199}")
OPERATION_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Register:
    key: str
    version: int = 0
    value: bytes = b""
    current: bool = False  # False: from a copy, which may be old.


@dataclass(frozen=True, slots=True)
class Outcome:
    """`changed`: the version that the operation made; else the version and value that stand."""

    version: int
    value: bytes
    changed: bool


class Council(Protocol):
    async def get(self, key: str) -> Register: ...

    async def compare_and_set(
        self, key: str, expected_version: int, value: bytes, operation_id: str
    ) -> Outcome:
        """Sets the value if the register has that version. The id names this wish for ever."""
        ...

    def list(self, prefix: str = "") -> Sequence[Register]:
        """By key; nothing of it is newer than what was decided."""
        ...

    def watch(self, prefix: str = "") -> AsyncIterator[Register]:
        """All that `list` gives, then each newer version as it comes here; some may be skipped."""
        ...


def check_key(key: str) -> None:
    if not KEY.fullmatch(key) or key in RESERVED_KEYS:
        rule = "1 to 200 letters, digits, '.', '_', '@', ':', '/', '-', and none of "
        fault = FieldFault("key", rule + ", ".join(sorted(RESERVED_KEYS)))
        raise McError("BAD_REQUEST", f"{key[:80]!r} is no key of a register", faults=[fault])


def check_change(key: str, value: bytes, operation_id: str) -> None:
    check_key(key)
    if not 0 < len(operation_id) <= OPERATION_CHARS_MAX:
        fault = FieldFault("operation_id", f"1 to {OPERATION_CHARS_MAX} characters")
        raise McError("BAD_REQUEST", f"the change of {key} has no fitting id", faults=[fault])
    if len(value) > VALUE_BYTES_MAX:
        said = f"the value for {key} has {len(value)} bytes; a register holds {VALUE_BYTES_MAX}"
        raise McError("TOO_LARGE", said, next="store it as a chunk and decide its id")
