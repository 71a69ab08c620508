"""What pydantic found, in plain words: the key, the rule with its limits, and the value's shape.

A value's text is never repeated, only its shape: it may be a secret in the wrong place.
"""

from collections.abc import Iterator
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from multicloud.errors import FieldFault
from nodeagent.config.kinds import WORDS, Section
from nodeagent.config.lines import Key
from nodeagent.config.model import Config
from nodeagent.config.options import Option, fields_of, nearest, nearest_option, options
from nodeagent.config.toml import as_key

_KINDS = {
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table of options",
}
_LIMITS = frozenset({"greater_than_equal", "less_than_equal", "literal_error", "too_long"})


def dotted(path: Key) -> str:
    """('advertise', 0, 'api') as advertise[0].api."""
    text = ""
    for part in path:
        name = f"[{part}]" if isinstance(part, int) else as_key(part)
        text += f".{name}" if text and isinstance(part, str) else name
    return text


def of_validation(error: ValidationError) -> Iterator[tuple[Key, FieldFault]]:
    """Each fault with the path that tells its line; `where` is the caller's to fill in."""
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        if detail["type"] == "rule":
            path = (*path, detail["ctx"]["key"])
        yield path, FieldFault(dotted(path), _rule(path, detail), nearest=_nearest(path, detail))


def _rule(path: Key, detail: ErrorDetails) -> str:
    kind, option = detail["type"], _option(path)
    shape = shape_of(detail["input"])
    if kind == "missing":
        why = f": {option.why}" if option else ", with " + _required_of(path) if path else ""
        example = f" For example {option.example!r}" if option and option.example else ""
        return f"is required{why}{example}".rstrip(".")
    if kind == "extra_forbidden":
        return "is not an option"
    if kind == "rule":
        return str(detail["ctx"]["rule"])
    if kind == "string_pattern_mismatch":
        return f"must be {WORDS[detail['ctx']['pattern']]}, and is {shape}"
    if kind in _LIMITS and option:
        verb = "must have" if kind == "too_long" else "must be"
        return f"{verb} {option.limits}, and is {shape}"
    if kind in _KINDS:
        limits = (
            f" ({option.limits})" if option and option.limits and option.kind is not bool else ""
        )
        return f"{_KINDS[kind]}{limits}, and is {shape}"
    return f"{detail['msg']}, and is {shape}"


def _required_of(path: Key) -> str:
    section = _section(path)
    names = [o.key for o in fields_of(section) if o.required] if section else []
    return ", ".join(names)


def shape_of(value: object) -> str:
    """What a value looks like without saying what it is, unless it is a figure."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if abs(value) < 1 << 64 else "a very large figure"
    if isinstance(value, str):
        return f"text of {len(value)} character{'s' * (len(value) != 1)}" if value else "empty text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return f"a {type(value).__name__}"  # TOML's dates and times.


def _nearest(path: Key, detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        option = _option(path)
        wrong = detail["input"]
        return nearest(wrong, option.choices) if option and isinstance(wrong, str) else ""
    if detail["type"] != "extra_forbidden":
        return ""
    name = str(path[-1])
    if len(path) == 1:
        return nearest(name, Config.model_fields) or nearest_option(name)
    section = _section(path[:-1])
    near = nearest(name, section.model_fields) if section else ""
    return dotted((*path[:-1], near)) if near else nearest_option(dotted(path))


def _section(path: Key) -> type[Section] | None:
    """The section that a path of keys and indices leads to."""
    section: type[Section] | None = Config
    for part in path:
        if isinstance(part, int) or section is None:
            continue
        info = section.model_fields.get(str(part))
        if info is None:
            continue  # The free name of an entry, such as a peer's id.
        inner = (info.annotation, *get_args(info.annotation))
        section = next((t for t in inner if isinstance(t, type) and issubclass(t, Section)), None)
    return section


def _option(path: Key) -> Option | None:
    """The option, or the key of an entry, that a path leads to."""
    names = [str(part) for part in path if not isinstance(part, int)]
    if ".".join(names) in options():
        return options()[".".join(names)]
    section = _section(path[:-1]) if path else None
    if section is None or not names:
        return None
    return next((o for o in fields_of(section) if o.key == names[-1]), None)
