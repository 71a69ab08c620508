"""Sizes as people write and read them: 64MiB, 1.5GB, 200M, 4096."""

import re

from multicloud.errors import McError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}iB": 1 << (10 * (i + 1)) for i, letter in enumerate("KMGTP")}
_UNITS |= {f"{letter}B": 1000 ** (i + 1) for i, letter in enumerate("kMGTP")}
# As in rclone and rsync: 200M are binary.
_UNITS |= {letter: 1 << (10 * (i + 1)) for i, letter in enumerate("KMGTP")}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def size_bytes(text: str) -> int:
    """Raises USAGE for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    unit = next((u for u in _UNITS if found and u.lower() == found[2].lower()), None)
    if found is None or unit is None:
        raise McError("USAGE", f"{text!r} is no size", next="write it like 64MiB, 1.5GB or 4096")
    return round(float(found[1]) * _UNITS[unit])


def human(size: int) -> str:
    """In the largest binary unit that leaves a figure of at least 1."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.4g} {unit}"
    return f"{size} B"
