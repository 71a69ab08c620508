"""`mcctl verify` and `mcctl doctor` before and after the cluster was asked."""

import pytest

from mcctl import doctor, verify
from mcctl.show import Cell
from multicloud.errors import McError

GOOD = {"node": "aws-a", "id": "1", "volume": "v", "state": "good", "reason": None}
BAD = {"node": "gcp-a", "id": "2", "volume": None, "state": "bad", "reason": "DAMAGE"}


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "ab" * 33])
def test_what_is_no_id_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(McError) as refused:
        verify.verify(chunk=text, replicas=0)
    assert refused.value.reason == "USAGE"


def test_the_screen_of_verify_says_in_one_line_whether_all_is_well() -> None:
    found = {"copies": [GOOD, BAD], "copies_good": 1, "copies_bad": 1, "replicas": 3}
    table, line = verify._screen({**found, "copies_missing": 2})
    assert line == Cell("1 good copies, 3 are asked for, 1 bad", "bold red")
    assert [row[0] for row in table.rows] == ["aws-a", "gcp-a"]
    assert table.rows[1][3] == "DAMAGE"
    (_, fine) = verify._screen(
        {"copies": [GOOD], "copies_good": 1, "copies_bad": 0, "replicas": 1, "copies_missing": 0}
    )
    assert fine.style == "bold green"


def finding(code: str, severity: str, done: str = "") -> dict[str, str]:
    empty = {"subject": "aws-a", "what": "what", "next": ""}
    return {"code": code, "severity": severity, "done": done, **empty}


def test_the_screen_of_doctor_shows_what_is_wrong_and_what_was_done_and_no_more() -> None:
    found = [
        finding("VOLUME_OK", "ok"),
        finding("DAMAGE_MENDED", "ok", "it was had again"),
        finding("NO_ROOM", "warning"),
        finding("CHUNK_LOST", "error"),
    ]
    table, line = doctor._screen(found, everything=False)
    assert len(table.rows) == 3
    assert line == "1 errors, 1 warnings, 1 things done"
    assert len(doctor._screen(found, everything=True)[0].rows) == 4
    assert doctor._screen(found[:1], everything=False) == ["0 errors, 0 warnings, 0 things done"]
