"""Writes the generated pages, or says which have drifted.

python -m tools.pages write | check
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import protos
from tools.pages import api, commands, errors, options

DOCS = Path(__file__).resolve().parents[2] / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": lambda: api.page(protos.descriptors()),
    "commands.md": commands.page,
    "configuration.md": options.page,
    "errors.md": errors.page,
}


def write(folder: Path) -> None:
    for name, page in PAGES.items():
        (folder / name).write_text(page())


def drift(folder: Path) -> list[str]:
    drifted = []
    for name, page in PAGES.items():
        path = folder / name
        if not path.exists() or path.read_text() != page():
            drifted.append(f"docs/{name} is not what the code says; run `make pages`")
    return drifted


def main(argv: list[str]) -> int:
    match argv:
        case ["write"]:
            write(DOCS)
            return 0
        case ["check"]:
            found = drift(DOCS)
            print("\n".join(found) or f"pages: {len(PAGES)} are what the code says")
            return 1 if found else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
