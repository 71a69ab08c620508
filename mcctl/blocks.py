"""What output for people is made of; how it looks is decided where it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a table, with a style that only terminals see ("green", "bold red", "dim")."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people. Columns whose name starts with `>` are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]


Block = Table | Cell | str
