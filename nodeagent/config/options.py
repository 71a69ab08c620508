"""The options as a flat list: key, limits in words, default, and whether a reload takes it.

Made from the model once; an option is one key of one section, or a list of tables at the top.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from nodeagent.config.kinds import WORDS, Section
from nodeagent.config.model import Config


@dataclass(frozen=True)
class Option:
    key: str  # "limits.message_bytes_max"
    kind: type  # The Python type of its value: str, int, float, bool, list, dict, Path
    entry: type[Section] | None  # What a list or a dict of tables holds.
    required: bool
    default: Any
    example: object
    why: str
    limits: str
    choices: tuple[str, ...]
    reload: bool

    @property
    def variable(self) -> str:
        return "MC_" + self.key.upper().replace(".", "__")


@cache
def options() -> Mapping[str, Option]:
    """Every option, in the order of the model."""
    return {option.key: option for option in _walk(Config, "")}


def fields_of(section: type[Section], prefix: str = "") -> list[Option]:
    """The keys of one kind of entry, such as those of [[advertise]]."""
    return list(_walk(section, prefix))


def _walk(section: type[Section], prefix: str) -> Iterator[Option]:
    for name, info in section.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield _option(f"{prefix}{name}", info)


def _option(key: str, info: FieldInfo) -> Option:
    kind, choices, entry = _shape(info.annotation)
    extra = info.json_schema_extra
    examples = info.examples or [None]
    return Option(
        key=key,
        kind=kind,
        entry=entry,
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        example=examples[0],
        why=info.description or "",
        limits=limits_of(key, kind, info, choices),
        choices=choices,
        reload=isinstance(extra, dict) and extra.get("reload") is True,
    )


def _shape(annotation: Any) -> tuple[type, tuple[str, ...], type[Section] | None]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin is Literal:
        return str, tuple(get_args(annotation)), None
    if origin in (Union, UnionType):
        return _shape(next(a for a in get_args(annotation) if a is not type(None)))
    if origin in (list, dict):
        inner = get_args(annotation)[-1]
        is_section = isinstance(inner, type) and issubclass(inner, Section)
        return origin, (), inner if is_section else None
    return annotation, (), None


def limits_of(key: str, kind: type, info: FieldInfo, choices: tuple[str, ...]) -> str:
    """The limits in words: '1 MiB to 16 MiB', 'one of debug, info'."""
    if choices:
        return "one of " + ", ".join(choices)
    found: dict[str, Any] = {}
    for part in _metadata(info):
        for name in ("ge", "le", "max_length", "pattern"):
            value = getattr(part, name, None)
            if value is not None:
                found[name] = value
    if "pattern" in found:
        return WORDS[found["pattern"]]
    if "ge" in found and "le" in found:
        return f"{quantity(key, found['ge'])} to {quantity(key, found['le'])}"
    if "max_length" in found:
        return f"at most {found['max_length']} entries"
    return {"bool": "true or false", "Path": "an absolute path"}.get(kind.__name__, "")


def _metadata(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    if get_origin(info.annotation) in (Union, UnionType):
        for inner in get_args(info.annotation):
            yield from get_args(inner)[1:]


def quantity(key: str, value: float) -> str:
    """A figure with the unit that its key ends in."""
    if "bytes" in key:
        return _bytes(int(value))
    if key.endswith(("_s", "_s_max")) and "_per_s" not in key:
        return f"{value:g} s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bytes(value: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if value >= 1 << shift and value % (1 << shift) == 0:
            return f"{value >> shift} {unit}"
    return f"{value} bytes"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that a misspelt one most likely means, or nothing."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), "")


def nearest_option(key: str) -> str:
    """The same for a whole key: in the nearest section, else the name in another one."""
    section, _, name = key.rpartition(".")
    by_section: dict[str, list[str]] = {}
    for known in options():
        by_section.setdefault(known.rpartition(".")[0], []).append(known.rpartition(".")[2])
    home = nearest(section, by_section) if section else ""
    near = nearest(name, by_section[home])
    if near:
        return f"{home}.{near}" if home else near
    return next((known for known in options() if known.rpartition(".")[2] == name), "")
