"""The little Markdown that the generated pages need."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or " "


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def note(source: str) -> str:
    """Who reads the source of a page should know where to edit it."""
    return f"<!-- Made from {source} by `make pages`. Edit that. -->\n"


def head(name: str) -> str:
    """What a person wrote for the top of a page; it stands beside the code that makes the rest."""
    return Path(__file__).with_name(f"{name}.md").read_text()
