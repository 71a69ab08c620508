"""Says which links between our Markdown pages lead nowhere; the web is not asked.

    python -m tools.links
A page of `docs/` may only link to pages there, since the site has no others; what is elsewhere in
the repository is named in `code`.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SITE = "docs/"
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def broken(pages: Mapping[str, str], files: frozenset[str]) -> Iterator[str]:
    """`pages`: path to text, of what is checked; `files`: every path there is."""
    anchors = {path: anchors_of(text) for path, text in pages.items()}
    for path, text in pages.items():
        for link in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            full = _join(path, target) if target else path
            if full not in files:
                yield f"{path}: {link}: there is no {full}"
            elif path.startswith(SITE) and not full.startswith(SITE):
                yield f"{path}: {link}: leaves the site; name the file in `code`"
            elif anchor and anchor not in anchors.get(full, frozenset()):
                yield f"{path}: {link}: {full} has no heading #{anchor}"


def unlisted(pages: Iterable[str], site: Mapping[str, Any]) -> list[str]:
    """Pages of the site that its navigation does not lead to."""
    listed = {f"{SITE}{page}" for page in _leaves(site["project"]["nav"])}
    return [
        f"{page}: is not in the navigation of zensical.toml"
        for page in pages
        if page.startswith(SITE) and page not in listed
    ]


def _leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for part in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _leaves(part)


def anchors_of(text: str) -> frozenset[str]:
    """What the site and code hosts make of headings; a repeated one gets a number."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return frozenset(found)


def _join(page: str, target: str) -> str:
    parts: list[str] = []
    for part in (*PurePosixPath(page).parent.parts, *target.split("/")):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def repository() -> tuple[dict[str, str], frozenset[str]]:
    """The pages and all files: known to git, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = frozenset(path for path in listed.splitlines() if (ROOT / path).exists())
    marked = sorted(f for f in files if f.endswith(".md") and not f.startswith("tools/"))
    return {path: (ROOT / path).read_text() for path in marked}, files


def main() -> int:
    pages, files = repository()
    site = tomllib.loads((ROOT / "zensical.toml").read_text())
    found = [*broken(pages, files), *unlisted(pages, site)]
    print("\n".join(found) or f"links: {len(pages)} pages, none leads nowhere")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
