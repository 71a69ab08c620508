"""Sizes and times as people write and read them: 64MiB, 1.5GB, 200M, 4096; 500ms, 30s, 5m, 2h."""

import re

from multicloud.errors import McError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}iB": 1 << (10 * (i + 1)) for i, letter in enumerate("KMGTP")}
_UNITS |= {f"{letter}B": 1000 ** (i + 1) for i, letter in enumerate("kMGTP")}
# As in rclone and rsync: 200M are binary.
_UNITS |= {letter: 1 << (10 * (i + 1)) for i, letter in enumerate("KMGTP")}
_TIMES_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def size_bytes(text: str) -> int:
    """Raises USAGE for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    unit = next((u for u in _UNITS if found and u.lower() == found[2].lower()), None)
    if found is None or unit is None:
        raise McError("USAGE", f"{text!r} is no size", next="write it like 64MiB, 1.5GB or 4096")
    return round(float(found[1]) * _UNITS[unit])


def is_time(text: str) -> bool:
    return _TIME.fullmatch(text.strip()) is not None


def time_ms(text: str) -> int:
    """Raises USAGE for what is no time with its unit."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise McError("USAGE", f"{text!r} is no time", next="write it like 500ms, 30s, 5m or 2h")
    return round(float(found[1]) * _TIMES_MS[found[2]])


def human_ms(time: int) -> str:
    """In the largest unit of which it is a whole number."""
    unit = max((u for u in _TIMES_MS if time % _TIMES_MS[u] == 0), key=_TIMES_MS.__getitem__)
    return f"{time // _TIMES_MS[unit]}{unit}"


def human(size: int) -> str:
    """In the largest binary unit that leaves a figure of at least 1."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.4g} {unit}"
    return f"{size} B"
