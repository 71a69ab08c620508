"""What operators decided stays decided, whatever happens to the process."""

from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.ops.decisions import Decisions


def test_nothing_is_decided_at_first(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    assert not decisions.draining()
    assert decisions.removed() == {}


def test_draining_lasts_until_it_is_taken_back(tmp_path: Path) -> None:
    Decisions(tmp_path).drain(True)
    Decisions(tmp_path).drain(True)
    assert Decisions(tmp_path).draining()
    Decisions(tmp_path).drain(False)
    Decisions(tmp_path).drain(False)
    assert not Decisions(tmp_path).draining()


def test_removals_add_up_and_the_first_name_stays(tmp_path: Path) -> None:
    Decisions(tmp_path).remove({"01": "a"})
    Decisions(tmp_path).remove({"02": "b", "01": "01"})
    assert Decisions(tmp_path).removed() == {"01": "a", "02": "b"}


def test_a_torn_draft_is_no_harm_and_a_damaged_file_is_said(tmp_path: Path) -> None:
    Decisions(tmp_path).remove({"01": "a"})
    (tmp_path / "removed.json.new").write_text('{"01')
    assert Decisions(tmp_path).removed() == {"01": "a"}
    (tmp_path / "removed.json").write_text('{"01')
    with pytest.raises(McError) as damaged:
        Decisions(tmp_path).removed()
    assert damaged.value.reason == "DAMAGE"


def test_a_decision_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(McError) as unkept:
        Decisions(tmp_path / "gone").remove({"01": "a"})
    assert unkept.value.reason == "FAILED"
    with pytest.raises(McError):
        Decisions(tmp_path / "gone").drain(True)
