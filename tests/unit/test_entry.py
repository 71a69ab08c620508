"""`nodeagentd` as a process: what it prints, and its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

from multicloud import __version__

GOOD = """[node]
id = "0123456789abcdef"
name = "aws-a"
cluster = "prod"
cloud = "aws"
region = "us-east-1"
"""


def nodeagentd(
    *arguments: str, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    own = {k: v for k, v in os.environ.items() if not k.startswith("MC_")}
    return subprocess.run(
        [sys.executable, "-m", "nodeagent", *arguments],
        env={**own, **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_it_says_its_version() -> None:
    done = nodeagentd("version")
    assert (done.returncode, done.stdout) == (0, f"nodeagentd {__version__}\n")


def test_a_right_configuration_exits_0(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(GOOD)
    done = nodeagentd("check-config", "--config", str(path), "--set", "limits.stream_stall_s=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{path} is right: 6 of" in done.stdout


def test_a_wrong_one_exits_2_with_each_fault_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(GOOD + "nmae = 1\n[limits]\nstream_stall_s = 0\n")
    done = nodeagentd("check-config", env={"MC_CONFIG": str(path)})
    head, *faults = done.stderr.splitlines()
    assert done.returncode == 2
    what = f"nodeagentd: the configuration {path} has 2 faults [CONFIG_INVALID]; next: "
    assert head.startswith(what)
    assert faults == [
        f"  {path}:7: node.nmae: is not an option (did you mean node.name?)",
        f"  {path}:9: limits.stream_stall_s: must be 1 s to 600 s, and is 0",
    ]


def test_a_setting_without_a_value_is_a_usage_error() -> None:
    done = nodeagentd("check-config", "--set", "limits.stream_stall_s")
    assert done.returncode == 2
    assert "[USAGE]" in done.stderr
    assert nodeagentd("fly").returncode == 2
    assert nodeagentd().returncode == 2


def test_a_command_imports_only_what_it_needs() -> None:
    probe = "import sys; from nodeagent.__main__ import main; main(['version']); "
    probe += "print(sorted({'grpc', 'pydantic', 'google'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"
