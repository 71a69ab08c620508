"""Reads a node's configuration: flag over MC_SECTION__KEY over file over default.

Either every option is right, or one McError lists everything that is wrong.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from multicloud.errors import FieldFault, McError
from nodeagent.config.environment import Given, from_flags, from_variables
from nodeagent.config.faults import dotted, of_validation
from nodeagent.config.lines import Key, lines
from nodeagent.config.model import Config
from nodeagent.config.options import options
from nodeagent.config.secrets import exposed

DEFAULT_PATH = Path("/etc/multicloud/nodeagent.toml")
FILE_BYTES_MAX = 1 << 20

_LINE = re.compile(r" \(at line (\d+), column \d+\)")


@dataclass(frozen=True)
class Loaded:
    """A configuration, and for every option where its value came from."""

    config: Config
    origins: Mapping[str, str]  # Key to "default", "file:line", a variable, or a flag.
    path: Path


@dataclass
class _Layers:
    """The values so far, as one tree, and who said what."""

    tree: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[Key, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[FieldFault] = field(default_factory=list)
    absent: bool = False  # There is no file in the default place.


def load(path: Path | None, env: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """The configuration in `path`, else in MC_CONFIG, else in /etc/multicloud."""
    named = path or (Path(env["MC_CONFIG"]) if env.get("MC_CONFIG") else None)
    where = named or DEFAULT_PATH
    layers = _Layers()
    _read_file(where, named is not None, layers)
    for given in (from_variables(env), from_flags(flags)):
        _lay_over(layers, given)
    config = _validate(layers, where)
    if config is None and layers.absent:
        layers.faults.append(_no_file(where))
    secrets = exposed(config, env) if config else []
    faults = [*sorted(layers.faults, key=_position), *secrets]
    if faults or config is None:
        reason = "CONFIG_INVALID" if layers.faults else "SECRET_EXPOSED"
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise McError(reason, f"the configuration {where} has {count}", faults=faults)
    return Loaded(config, _all_origins(layers, where), where)


def _position(fault: FieldFault) -> tuple[str, int]:
    file, _, line = fault.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (fault.where, 0)


def _read_file(where: Path, must_exist: bool, layers: _Layers) -> None:
    text = _text_of(where, must_exist, layers)
    try:
        layers.tree = tomllib.loads(text)
        layers.lines = lines(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found.group(1)) if found else text.count("\n") + 1
        said = _LINE.sub("", str(error)).replace(" (at end of document)", " at the end of the file")
        layers.faults.append(FieldFault("TOML", f"is not valid: {said}", f"{where}:{line}"))


def _no_file(where: Path) -> FieldFault:
    return FieldFault("file", "does not exist: `nodeagentd install BUNDLE` writes one", str(where))


def _text_of(where: Path, must_exist: bool, layers: _Layers) -> str:
    def fault(rule: str) -> str:
        layers.faults.append(FieldFault("file", rule, str(where)))
        return ""

    if not where.is_absolute():
        return fault("must be an absolute path: there is no working directory to be relative to")
    try:
        with where.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        if not must_exist:
            layers.absent = True
            return ""  # Everything may come from variables and flags.
        layers.faults.append(_no_file(where))
        return ""
    except OSError as error:
        return fault(f"cannot be read: {error.strerror}")
    if len(data) > FILE_BYTES_MAX:
        return fault(f"is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        layers.faults.append(FieldFault("TOML", "must be UTF-8", f"{where}:{line}"))
        return ""


def _lay_over(layers: _Layers, given: Given) -> None:
    layers.faults += given.faults
    layers.origins |= given.origins
    for key, value in given.values.items():
        *sections, name = key.split(".")
        tree = layers.tree
        for section in sections:
            inner = tree.setdefault(section, {})
            if not isinstance(inner, dict):
                break  # The file has text where a section belongs: that fault is told anyway.
            tree = inner
        else:
            tree[name] = value


def _validate(layers: _Layers, where: Path) -> Config | None:
    broken_file = bool(layers.faults) and not layers.tree
    try:
        return Config.model_validate(layers.tree)
    except ValidationError as error:
        for path, fault in of_validation(error):
            if broken_file and fault.rule.startswith("is required"):
                continue  # Nothing could be read; that is the fault.
            place = _origin(path, layers, where)
            layers.faults.append(FieldFault(fault.field, fault.rule, place, fault.nearest))
    return None


def _origin(path: Key, layers: _Layers, where: Path) -> str:
    """Where the value at a path came from; for what is absent, its section, else the file."""
    for length in range(len(path), 0, -1):
        by_source = layers.origins.get(dotted(path[:length]))
        if by_source:
            return by_source
        line = layers.lines.get(path[:length])
        if line:
            return f"{where}:{line}"
    return str(where)


def _all_origins(layers: _Layers, where: Path) -> dict[str, str]:
    origins = {}
    for key in options():
        line = layers.lines.get(tuple(key.split(".")))
        origins[key] = layers.origins.get(key) or (f"{where}:{line}" if line else "default")
    return origins
