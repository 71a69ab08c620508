"""Writes values as TOML, so that what is shown can be pasted into a file. Reading is tomllib's."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(value: object) -> str:
    """One value, inline."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str() | Path():
            return _text(str(value))
        case BaseModel():
            return as_toml(value.model_dump(exclude_none=True))
        case Mapping():
            pairs = [f"{as_key(k)} = {as_toml(v)}" for k, v in value.items() if v is not None]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case Sequence():
            return f"[{', '.join(as_toml(item) for item in value)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def as_file(tree: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]]) -> str:
    """A file of sections and arrays of tables."""
    blocks = []
    for name, content in tree.items():
        if isinstance(content, Mapping):
            blocks.append(_block(f"[{name}]", content))
        else:
            blocks += [_block(f"[[{name}]]", entry) for entry in content]
    return "\n".join(blocks)


def _block(head: str, content: Mapping[str, Any]) -> str:
    rows = [f"{as_key(key)} = {as_toml(value)}\n" for key, value in content.items()]
    return f"{head}\n{''.join(rows)}"


def _text(value: str) -> str:
    """JSON's escapes are TOML's, but for the one control character that JSON lets stand."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_key(key: str) -> str:
    """Bare where TOML allows it, else in quotes: also the safe way to show one."""
    return key if _BARE.fullmatch(key) else _text(key)
