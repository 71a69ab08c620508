"""The scenarios in `scripts/` go as they are written. MC_REWRITE=1 writes them as they go now."""

import os
from pathlib import Path

import pytest

from tests.sim.scripts import rewritten

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_scenario_goes_as_it_is_written(script: Path) -> None:
    text = script.read_text()
    now = rewritten(text)
    if os.environ.get("MC_REWRITE"):
        script.write_text(now)
    else:
        assert now == text, f"see the difference; MC_REWRITE=1 accepts it in {script.name}"


def test_there_are_scenarios_and_a_wrong_output_is_noticed() -> None:
    assert len(SCRIPTS) >= 6
    text = SCRIPTS[0].read_text()
    wrong = text.replace("told by", "told by 100", 1)
    assert wrong != text
    assert rewritten(wrong) == text
