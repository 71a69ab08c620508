"""Compares two configurations: what a reload applies at once, and what waits for a restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from multicloud.errors import McError
from nodeagent.config.faults import of_validation
from nodeagent.config.load import Loaded
from nodeagent.config.model import Config
from nodeagent.config.options import options


@dataclass(frozen=True, slots=True)
class Change:
    """Keys of the options that differ."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def compare(old: Config, new: Config) -> Change:
    changed = [key for key in options() if value_of(old, key) != value_of(new, key)]
    return Change(
        applied=tuple(key for key in changed if options()[key].reload),
        needs_restart=tuple(key for key in changed if not options()[key].reload),
    )


def take(old: Loaded, new: Loaded) -> tuple[Loaded, Change]:
    """What is in force after a reload: new values where they apply at once, else the old ones.

    Refused as a whole when that mixture breaks a rule between options.
    """
    change = compare(old.config, new.config)
    tree, origins = new.config.model_dump(), dict(new.origins)
    for key in change.needs_restart:
        section, _, name = key.rpartition(".")
        (tree[section] if section else tree)[name] = value_of(old.config.model_dump(), key)
        origins[key] = old.origins[key]
    try:
        return Loaded(Config.model_validate(tree), origins, new.path), change
    except ValidationError as error:
        faults = [fault for _, fault in of_validation(error)]
        waiting = ", ".join(change.needs_restart)
        raise McError(
            "CONFIG_INVALID",
            f"{new.path} holds only after a restart, because {waiting} cannot change before",
            faults=faults,
            next="restart the daemon, or change the others so that they fit the old values",
        ) from error


def value_of(config: Config | Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value
