"""Plain data: what commands hand to the output, and what JSON and YAML can say."""

from typing import TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
