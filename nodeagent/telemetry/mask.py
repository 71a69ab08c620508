"""Secrets never leave by logs or traces: what is named like one, or looks like one, is masked."""

import re
from collections.abc import Mapping
from typing import Any

MASKED = "***"
VALUE_CHARS_MAX = 4096
DEPTH_MAX = 6

_NAME = re.compile(r"key|secret|token|passphrase|password|credential", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)


def masked(name: str, value: Any, depth: int = 0) -> Any:
    """`value` without secrets, of a bounded size, and of types that JSON knows."""
    if _NAME.search(name) and not isinstance(value, bool | int | float | None):
        return MASKED
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): masked(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked("", item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value[: VALUE_CHARS_MAX // 2])
        return MASKED if b"-----BEGIN " in value else value.hex()
    return masked_text(str(value))


def masked_text(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    if "-----BEGIN " in text:
        text = _PEM.sub(MASKED, text)
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
