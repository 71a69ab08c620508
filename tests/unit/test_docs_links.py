"""No link of our pages leads nowhere, and the checker that says so finds planted ones."""

import tomllib

import pytest

from tools.links import ROOT, anchors_of, broken, repository, unlisted

PAGES = {
    "README.md": "# Multi cloud\n",
    "docs/a.md": "# A page\n## What, and `why`?\n## Twice\n## Twice\n",
    "docs/decisions/1.md": "# One\n",
}
FILES = frozenset([*PAGES, "config/x.toml"])


def test_no_link_of_ours_leads_nowhere() -> None:
    pages, files = repository()
    assert {"README.md", "docs/index.md"} <= set(pages)
    assert list(broken(pages, files)) == []


@pytest.mark.parametrize(
    ("page", "link", "fault"),
    [
        ("README.md", "docs/b.md", "there is no docs/b.md"),
        ("README.md", "docs/a.md#nothing", "docs/a.md has no heading #nothing"),
        ("README.md", "#nothing", "README.md has no heading #nothing"),
        ("docs/a.md", "b.md", "there is no docs/b.md"),
        ("docs/a.md", "../README.md", "leaves the site"),
        ("docs/decisions/1.md", "../b.md", "there is no docs/b.md"),
        ("docs/decisions/1.md", "a.md", "there is no docs/decisions/a.md"),
    ],
)
def test_a_planted_link_is_found(page: str, link: str, fault: str) -> None:
    pages = {**PAGES, page: f"{PAGES[page]}See [there]({link}).\n"}
    (found,) = broken(pages, FILES)
    assert fault in found


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("README.md", "[a](docs/a.md#what-and-why)"),
        ("README.md", "[a](config/x.toml) [b](#multi-cloud)"),
        ("README.md", "[web](https://example.org/x.md)"),
        ("docs/decisions/1.md", "[a](../a.md#a-page)"),
        ("README.md", "`[a](nowhere.md)`\n\n```\n[a](nowhere.md)\n```\n"),
    ],
)
def test_a_link_that_leads_somewhere_is_not_reported(page: str, text: str) -> None:
    assert list(broken({**PAGES, page: f"{PAGES[page]}{text}\n"}, FILES)) == []


def test_headings_inside_of_code_are_none() -> None:
    assert anchors_of("# A\n```\n# B\n```\n") == {"a"}


def test_the_navigation_leads_to_every_page() -> None:
    pages, _ = repository()
    site = tomllib.loads((ROOT / "zensical.toml").read_text())
    assert unlisted(pages, site) == []


def test_a_page_that_no_navigation_leads_to_is_found() -> None:
    site = {"project": {"nav": [{"A": "a.md"}, {"More": [{"One": "decisions/2.md"}]}]}}
    assert unlisted(PAGES, site) == [
        "docs/decisions/1.md: is not in the navigation of zensical.toml"
    ]
