"""From the tree of a pipeline file to a `Pipeline`, with every fault of it and the key it is at.

What needs a library (SQL, columns, functions) is checked by `nodeagent.process.check`.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from multicloud.errors import FieldFault
from nodeagent.core.pipeline.model import (
    COMPRESSIONS,
    INPUTS,
    ON_BAD,
    OUTPUTS,
    Csv,
    Output,
    Pipeline,
    Step,
)
from nodeagent.core.pipeline.steps import STEPS, TYPES, WORDS, Kind, Option

Key = tuple[str | int, ...]
Fault = tuple[Key, FieldFault]

STEPS_MAX = 64
_CALL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_TYPE = re.compile(r"(list<)?([a-z0-9]+)(>?)(\??)")


class Faults:
    """What was found so far; reading goes on, so that one run tells everything."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, key: Key, rule: str, nearest: str = "") -> None:
        self.found.append((key, FieldFault(dotted(key), rule, nearest=nearest)))


def dotted(key: Key) -> str:
    """('step', 0, 'use') as step[0].use."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def near(word: object, known: Collection[str]) -> str:
    found = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def parse(tree: Mapping[str, Any]) -> tuple[Pipeline, list[Fault]]:
    """A pipeline, usable only when there is no fault."""
    faults = Faults()
    _unknown(faults, (), tree, ("input", "csv", "step", "output"))
    chosen = _word(faults, ("input",), tree.get("input", "auto"), INPUTS)
    csv = _csv(faults, tree.get("csv", {}))
    steps = _steps(faults, tree.get("step", []))
    output = _output(faults, tree.get("output", {}))
    if chosen == "raw" and steps:
        faults.add(
            ("input",), "raw has no records for steps: name jsonl, csv, parquet, tar or auto"
        )
    if chosen == "raw" and output.format != "same":
        faults.add(("output", "format"), "raw bytes keep their format: it is `same`")
    if output.format == "same" and output.compression != "auto":
        faults.add(("output", "compression"), "a file that keeps its path keeps its compression")
    if output.format == "parquet" and output.compression == "gzip":
        faults.add(("output", "compression"), "parquet takes auto, none or zstd")
    return Pipeline(chosen, csv, steps, output), faults.found


def _unknown(faults: Faults, key: Key, tree: Mapping[str, Any], known: Collection[str]) -> None:
    for name in tree:
        if name not in known:
            faults.add((*key, name), "is not an option", near(name, known))


def _word(faults: Faults, key: Key, value: object, known: Sequence[str]) -> str:
    if isinstance(value, str) and value in known:
        return value
    rule = f"must be one of {', '.join(known)}, and is {shown(value)}"
    faults.add(key, rule, near(value, known) if isinstance(value, str) else "")
    return known[0]


def _csv(faults: Faults, tree: object) -> Csv:
    if not isinstance(tree, Mapping):
        faults.add(("csv",), f"must be a table, and is {shown(tree)}")
        return Csv()
    _unknown(faults, ("csv",), tree, ("delimiter", "header", "quoted_newlines"))
    delimiter = tree.get("delimiter", ",")
    if not (isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n'):
        faults.add(("csv", "delimiter"), f"must be one character, and is {shown(delimiter)}")
    flags = {}
    for name in ("header", "quoted_newlines"):
        flags[name] = tree.get(name, True)
        if not isinstance(flags[name], bool):
            faults.add(("csv", name), f"must be true or false, and is {shown(flags[name])}")
    return Csv(str(delimiter), bool(flags["header"]), bool(flags["quoted_newlines"]))


def _output(faults: Faults, tree: object) -> Output:
    if not isinstance(tree, Mapping):
        faults.add(("output",), f"must be a table, and is {shown(tree)}")
        return Output()
    _unknown(faults, ("output",), tree, ("format", "compression"))
    return Output(
        _word(faults, ("output", "format"), tree.get("format", "same"), OUTPUTS),
        _word(faults, ("output", "compression"), tree.get("compression", "auto"), COMPRESSIONS),
    )


def _steps(faults: Faults, found: object) -> tuple[Step, ...]:
    if not isinstance(found, list) or not all(isinstance(step, Mapping) for step in found):
        faults.add(("step",), "must be tables, each under a line of its own: [[step]]")
        return ()
    if len(found) > STEPS_MAX:
        faults.add(("step",), f"there are {len(found)}, and {STEPS_MAX} may be")
    read = [_step(faults, ("step", at), tree) for at, tree in enumerate(found)]
    return tuple(step for step in read if step is not None)


def _step(faults: Faults, key: Key, tree: Mapping[str, Any]) -> Step | None:
    use = tree.get("use")
    if not isinstance(use, str) or use not in STEPS:
        if "use" not in tree:
            faults.add(key, "needs `use`: the name of a step; `mcctl pipeline steps` lists them")
        else:
            rule = f"is no step: {shown(use)}; `mcctl pipeline steps` lists them"
            faults.add((*key, "use"), rule, near(use, STEPS) if isinstance(use, str) else "")
        return None
    kind = STEPS[use]
    judging = ("on_bad", "fail_above") if kind.judges else ()
    _unknown(faults, key, tree, ("use", *kind.options, *judging))
    options = {name: _option(faults, key, name, one, tree) for name, one in kind.options.items()}
    on_bad, fail_above = "fail", 1.0
    if kind.judges:
        on_bad = _word(faults, (*key, "on_bad"), tree.get("on_bad", "quarantine"), ON_BAD)
        fail_above = tree.get("fail_above", 1.0)
        if rule := _wrong_share(fail_above):
            faults.add((*key, "fail_above"), rule)
            fail_above = 1.0
    return Step(use, options, on_bad, float(fail_above))


def _option(faults: Faults, key: Key, name: str, option: Option, tree: Mapping[str, Any]) -> Any:
    if name not in tree:
        if option.required:
            faults.add(key, f"needs `{name}`: {option.kind.value}")
        return None if option.required else option.default
    value = tree[name]
    wrong = list(_wrong(option.kind, value))
    for inner, rule, nearest in wrong:
        faults.add((*key, name, *inner), rule, nearest)
    if not wrong and option.kind is Kind.SECONDS:
        return float(value)
    return value


Wrong = Iterator[tuple[Key, str, str]]


def _wrong(kind: Kind, value: Any) -> Wrong:
    """What of a value breaks the rules of its kind: where inside it, which rule, what was meant."""
    must = f"must be {kind.value}, and is {shown(value)}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case Kind.TEXT:
            right = isinstance(value, str) and bool(value.strip())
        case Kind.CALL:
            right = isinstance(value, str) and bool(_CALL.fullmatch(value))
        case Kind.FLAG:
            right = isinstance(value, bool)
        case Kind.WHOLE:
            right = number and isinstance(value, int) and 0 <= value < 1 << 63
        case Kind.SHARE:
            right = not _wrong_share(value)
        case Kind.SECONDS:
            right = number and 0.01 <= value <= 3600
        case Kind.BYTES:
            right = number and isinstance(value, int) and 1 << 20 <= value <= 64 << 30
        case Kind.COLUMNS:
            right = _is_list(value, str) and len(set(value)) == len(value) and bool(value)
        case Kind.EXTRA | Kind.FORM:
            right = value in WORDS[kind]
        case _:
            yield from _wrong_table(kind, value, must)
            return
    if not right:
        hint = near(value, WORDS[kind]) if kind in WORDS and isinstance(value, str) else ""
        yield (), must, hint


def _wrong_table(kind: Kind, value: Any, must: str) -> Wrong:
    if not isinstance(value, Mapping) or not value:
        yield (), must, ""
        return
    new = list(value.values())
    if kind is Kind.NAMES and _is_list(new, str) and len(set(new)) < len(new):
        yield (), "gives two columns one name", ""
    for column, inner in value.items():
        rule, nearest = "", ""
        if kind is Kind.TYPES:
            rule, nearest = _wrong_type(inner)
        elif kind is Kind.NAMES and not (isinstance(inner, str) and inner):
            rule = f"must be the new name, and is {shown(inner)}"
        elif kind is Kind.RANGES and not _is_range(inner):
            rule = f"must be [least, most], both numbers or both texts, and is {shown(inner)}"
        elif kind is Kind.PATTERNS:
            rule = _wrong_pattern(inner)
        elif kind is Kind.CHOICES and not (
            inner and (_is_list(inner, str) or _is_list(inner, int) or _is_list(inner, float))
        ):
            rule = f"must be a list of texts or of numbers, and is {shown(inner)}"
        if rule:
            yield (column,), rule, nearest


def _wrong_type(value: object) -> tuple[str, str]:
    found = _TYPE.fullmatch(value) if isinstance(value, str) else None
    if found and bool(found[1]) == bool(found[3]) and found[2] in TYPES[: -1 if found[1] else None]:
        return "", ""
    rule = f"must be a type ({', '.join(TYPES)}, list<type>, type?), and is {shown(value)}"
    return rule, near(found[2] if found else value, TYPES) if isinstance(value, str) else ""


def _wrong_pattern(value: object) -> str:
    if not isinstance(value, str):
        return f"must be a regular expression, and is {shown(value)}"
    try:
        re.compile(value)
    except re.error as error:
        return f"is no regular expression: {error}"
    return ""


def _wrong_share(value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and math.isfinite(value) and 0 <= value <= 1:  # type: ignore[arg-type, operator]
        return ""
    return f"must be {Kind.SHARE.value}, and is {shown(value)}"


def _is_list(value: object, of: type) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, of) and not (isinstance(item, bool) and of is not bool) for item in value
    )


def _is_range(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    numbers = all(isinstance(i, (int, float)) and not isinstance(i, bool) for i in value)
    return (numbers or _is_list(value, str)) and value[0] <= value[1]


def shown(value: object) -> str:
    """A value in a message, not longer than a line takes."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}…"
