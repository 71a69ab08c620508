"""Puts what a benchmark prints into `docs/benchmarks.md`, between the markers of its name, so that
no figure there is typed by hand.
"""

from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replaced(page: str, name: str, text: str) -> str:
    """The page with `text` between the two markers of `name`; whatever was there is gone."""
    begin, end = (f"<!-- {word}: {name} -->" for word in ("begin", "end"))
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{begin} and {end} stand once each in a page that takes {name!r}")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def write(name: str, text: str, page: Path = PAGE) -> None:
    page.write_text(replaced(page.read_text(), name, text))
