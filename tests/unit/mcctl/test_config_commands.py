"""`mcctl config` without a cluster, as processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from multicloud.resources import resource

GOOD = """[node]
id = "0123456789abcdef"
name = "aws-a"
cluster = "prod"
cloud = "aws"
region = "us-east-1"
"""


def mcctl(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    own = {k: v for k, v in os.environ.items() if not k.startswith("MC_")}
    command = [sys.executable, "-m", "mcctl", "config", *arguments]
    own["PYTHONPATH"] = str(Path(__file__).parents[3])
    return subprocess.run(
        command, cwd=cwd, env={**own, **(env or {})}, capture_output=True, text=True, timeout=30
    )


def test_a_right_file_is_right_also_by_a_relative_name(tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text(GOOD)
    done = mcctl("validate", "n.toml", "-o", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"file": "n.toml", "ok": True, "options_set": 5}


def test_a_wrong_file_exits_2_and_names_line_key_rule_and_nearest(tmp_path: Path) -> None:
    path = tmp_path / "n.toml"
    path.write_text(GOOD + "zoen = 'a'\n")
    done = mcctl("validate", "n.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert f"  {path}:7: node.zoen: is not an option (did you mean node.zone?)" in done.stderr
    (fault,) = json.loads(mcctl("validate", "n.toml", "-ojson", cwd=tmp_path).stderr)["error"][
        "faults"
    ]
    assert fault == {
        "field": "node.zoen",
        "rule": "is not an option",
        "where": f"{path}:7",
        "nearest": "node.zone",
    }


def test_a_variable_of_this_shell_does_not_change_whether_a_file_is_right(tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text(GOOD)
    assert mcctl("validate", "n.toml", cwd=tmp_path, env={"MC_X__Y": "1"}).returncode == 0


def test_the_schema_is_json_in_every_format(tmp_path: Path) -> None:
    plain, as_json = (mcctl("schema", *a, cwd=tmp_path).stdout for a in ([], ["-o", "json"]))
    assert json.loads(plain) == json.loads(as_json)
    assert json.loads(plain)["properties"]["limits"]


def test_explain_tells_the_origin_of_each_value(tmp_path: Path) -> None:
    path = tmp_path / "n.toml"
    path.write_text(GOOD)
    env = {"MC_LIMITS__STREAM_STALL_S": "5"}
    done = mcctl("explain", "--file", "n.toml", "-o", "json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    values = {value["key"]: value for value in json.loads(done.stdout)}
    assert values["node.name"]["origin"] == f"{path}:3"
    assert values["limits.stream_stall_s"]["origin"] == "MC_LIMITS__STREAM_STALL_S"
    assert values["limits.stream_stall_s"]["value"] == "5.0"
    assert values["limits.deadline_s_max"]["origin"] == "default"
    short = mcctl(
        "explain", "--changed", "--why", cwd=tmp_path, env={**env, "MC_CONFIG": str(path)}
    )
    assert len(short.stdout.splitlines()) == 1 + 5 + 1
    assert "What people call this node." in short.stdout


def test_the_committed_example_wants_a_node_and_nothing_else(tmp_path: Path) -> None:
    done = mcctl("validate", str(resource("config/nodeagent.toml")), cwd=tmp_path)
    assert done.returncode == 2
    named = [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("  ")]
    assert named == ["node.id", "node.name", "node.cluster", "node.cloud", "node.region"]
