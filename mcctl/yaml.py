"""Plain data as YAML: dicts, lists, strings, numbers, booleans, null; and nothing clever."""

import json
import math
import re
from collections.abc import Iterator

from mcctl.plain import Plain

# What YAML 1.1 and 1.2 both read as this very string without quotes.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_/-]*( [A-Za-z_][A-Za-z0-9_/-]*)*\Z")
_RESERVED = frozenset(["y", "yes", "n", "no", "true", "false", "on", "off", "null"])


def dump(value: Plain) -> str:
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Plain) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _entry(f"{_string(key)}:", item, nested_indent=isinstance(item, dict))
    elif isinstance(value, list) and value:
        for item in value:
            inner = list(_lines(item))
            yield f"- {inner[0]}"
            yield from (f"  {line}" for line in inner[1:])
    else:
        yield _scalar(value)


def _entry(head: str, item: Plain, *, nested_indent: bool) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield head
        yield from (f"  {line}" if nested_indent else line for line in _lines(item))
    else:
        yield f"{head} {_scalar(item)}"


def _scalar(value: Plain) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    if isinstance(value, float):
        text = repr(value)
        # YAML 1.1 takes 1e-07 for a string: a number needs its point.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return json.dumps(value)


def _string(text: str) -> str:
    if _BARE.match(text) and text.lower() not in _RESERVED:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in quoted)
