"""`mcctl pipeline`, typed on a laptop that knows no cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodeagent.process.pipeline_file import checked

ROOT = Path(__file__).parents[2]
CLEAN = """input = "jsonl"
[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
[[step]]
use = "transform.sql"
query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"
[output]
format = "parquet"
"""
RECORDS = [
    {"id": 1, "text": "A LONG ENOUGH TEXT"},
    {"id": 2, "text": "short"},
    {"id": "x", "text": "whose id is a text"},
    {"id": 4, "text": "Another long text"},
]


def mcctl(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MC_")}
    return subprocess.run(
        [sys.executable, "-m", "mcctl", "pipeline", *words],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clean.toml").write_text(CLEAN)
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS)
    (tmp_path / "sample.jsonl").write_text(lines)
    return tmp_path


def test_a_trial_shows_before_after_and_what_would_be_quarantined(folder: Path) -> None:
    done = mcctl("try", "clean.toml", "./sample.jsonl", "--sample", "100", "-ojson", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["before"] == [RECORDS[0], RECORDS[1], RECORDS[3]]
    assert found["after"] == [
        {"id": 1, "text": "a long enough text"},
        {"id": 4, "text": "another long text"},
    ]
    (bad,) = found["quarantined"]
    assert bad["step"] == "validate.schema"
    assert bad["reason"] == "id: is a text, must be int64"
    assert json.loads(bad["record"]) == RECORDS[2]
    assert found["steps"][1]["records_quarantined"] == 1
    assert [file["path"] for file in found["files"]] == ["sample/part-00000.parquet"]
    table = mcctl("try", "clean.toml", "sample.jsonl", cwd=folder).stdout
    for words in ("before: 3 records", "after: 2 records", "quarantined: 1", "a long enough text"):
        assert words in table


def test_a_sample_is_of_the_first_records_good_or_bad(folder: Path) -> None:
    done = mcctl("try", "clean.toml", "sample.jsonl", "--sample", "3", "-ojson", cwd=folder)
    found = json.loads(done.stdout)
    assert (len(found["before"]), len(found["quarantined"])) == (2, 1)


def test_a_trial_calls_only_what_was_allowed(folder: Path) -> None:
    (folder / "acme.py").write_text(
        "def up(record):\n    return {'text': record['text'].upper()}\n"
    )
    (folder / "p.toml").write_text('[[step]]\nuse = "python"\ncall = "acme:up"\n')
    refused = mcctl("try", "p.toml", "sample.jsonl", cwd=folder)
    assert refused.returncode == 2
    assert "p.toml:3: step[0].call: acme:up is not allow-listed" in refused.stderr
    done = mcctl("try", "p.toml", "sample.jsonl", "--allow", "acme:up", "-ojson", cwd=folder)
    assert json.loads(done.stdout)["after"][1] == {"text": "SHORT"}, done.stderr


def test_every_fault_of_a_file_is_named_and_exits_2(folder: Path) -> None:
    (folder / "bad.toml").write_text(
        CLEAN.replace("lower(text)", "lower(txt)").replace("parquet", "x")
    )
    done = mcctl("check", "bad.toml", "-ojson", cwd=folder)
    assert done.returncode == 2
    error = json.loads(done.stderr)["error"]
    assert error["reason"] == "PIPELINE_INVALID"
    assert [fault["where"] for fault in error["faults"]] == ["bad.toml:9"]
    (folder / "bad.toml").write_text(CLEAN.replace("lower(text)", "lower(txt)"))
    done = mcctl("check", "bad.toml", cwd=folder)
    assert (
        "bad.toml:7: step[1].query: txt is no column here; there are id, text (did you mean text?)"
        in done.stderr
    )


def test_what_was_written_is_right_and_is_not_overwritten(tmp_path: Path) -> None:
    assert mcctl("init", "new.toml", cwd=tmp_path).returncode == 0
    again = mcctl("init", "new.toml", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    done = mcctl("check", "new.toml", "-ojson", cwd=tmp_path)
    assert json.loads(done.stdout)["steps"] == ["validate.schema", "transform.sql"]


def test_every_step_is_listed_and_its_example_is_right(tmp_path: Path) -> None:
    steps = json.loads(mcctl("steps", "-ojson", cwd=tmp_path).stdout)
    assert len(steps) >= 12
    for step in steps:
        checked(f'[[step]]\nuse = "{step["use"]}"\n{step["example"]}\n', "p.toml", None)
    one = mcctl("steps", "sample", cwd=tmp_path).stdout
    assert "0.1 keeps one of ten." in one
    assert mcctl("steps", "smaple", cwd=tmp_path).returncode == 5


def test_a_file_that_is_not_there_exits_5(folder: Path) -> None:
    assert mcctl("try", "clean.toml", "nope.jsonl", cwd=folder).returncode == 5
    assert mcctl("check", "nope.toml", cwd=folder).returncode == 5
    assert mcctl("try", "clean.toml", ".", cwd=folder).returncode == 2
