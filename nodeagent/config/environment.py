"""Values from MC_SECTION__KEY variables and from `--set section.key=value`, with every fault named.

A variable that looks like an option and is none is refused: a misspelt limit must not be silently
without effect.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multicloud.errors import FieldFault
from nodeagent.config.options import Option, nearest_option, options


@dataclass
class Given:
    """What one source says: values by option, and where each came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[FieldFault] = field(default_factory=list)


def from_variables(env: Mapping[str, str]) -> Given:
    """Values of the environment. Other MC_ variables, such as MC_CONTEXT, have no '__'."""
    given = Given()
    by_name = {option.variable: option for option in options().values()}
    by_letters = {_letters(name): name for name in by_name}
    for name in sorted(name for name in env if name.startswith("MC_")):
        option = by_name.get(name)
        if option:
            given.values[option.key] = parse(option, env[name])
            given.origins[option.key] = name
        elif "__" in name or _letters(name) in by_letters:
            near = by_letters.get(_letters(name)) or _variable_near(name)
            given.faults.append(FieldFault(name, "is not an option", "environment", near))
    return given


def from_flags(flags: Mapping[str, str]) -> Given:
    given = Given()
    for key, text in flags.items():
        option = options().get(key)
        if option:
            given.values[key] = parse(option, text)
            given.origins[key] = f"--set {key}"
        else:
            near = nearest_option(key)
            given.faults.append(FieldFault(key, "is not an option", f"--set {key}", near))
    return given


def parse(option: Option, text: str) -> Any:
    """Text of a variable or a flag as a value. Where text is wanted, quotes may be left out."""
    if option.kind in (str, Path) and not text.startswith(('"', "'")):
        return text  # 0123456789012345 is a node's id here, not a number.
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"] if len(values) == 1 else text


def _letters(name: str) -> str:
    return name.replace("_", "").upper()


def _variable_near(name: str) -> str:
    near = nearest_option(name.removeprefix("MC_").lower().replace("__", "."))
    return options()[near].variable if near else ""
