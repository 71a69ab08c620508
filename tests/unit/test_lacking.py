"""The end of a run says what it did not run, and how that would run."""

from tests.support.lacking import NOT_RUN, lacking


def test_what_is_lacking_is_one_line_with_its_tests_and_remedy() -> None:
    swift, azure = "Swift is not installed: `make servers`", "Azurite is not installed: get npm"
    said = [f"Skipped: {NOT_RUN}{why}" for why in (swift, azure, swift)] + ["Skipped: no root"]
    assert lacking(said) == [f"1 tests NOT RUN: {azure}", f"2 tests NOT RUN: {swift}"]


def test_nothing_is_said_when_nothing_is_lacking() -> None:
    assert lacking(["Skipped: needs root"]) == []
