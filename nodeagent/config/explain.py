"""Every value of a configuration as TOML, with its origin, its reason and its limits."""

from dataclasses import dataclass

from nodeagent.config.load import Loaded
from nodeagent.config.options import options
from nodeagent.config.reload import value_of
from nodeagent.config.toml import as_toml


@dataclass(frozen=True, slots=True)
class Explained:
    key: str
    value: str  # As TOML. No option holds a secret: keys are files.
    origin: str  # "default", "file:line", a variable, or a flag.
    why: str
    limits: str
    needs_restart: bool


def explain(loaded: Loaded) -> list[Explained]:
    """In the order of the model."""
    return [
        Explained(
            key=key,
            value=as_toml(value_of(loaded.config, key)),
            origin=loaded.origins[key],
            why=option.why,
            limits=option.limits,
            needs_restart=not option.reload,
        )
        for key, option in options().items()
    ]
