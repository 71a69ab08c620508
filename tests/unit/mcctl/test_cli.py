"""The frame: what a person or a script meets at the edge of every command."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mcctl.cli import run
from mcctl.commands import Row
from mcctl.options import Options, hoist
from multicloud import __version__
from multicloud.errors import McError

COMMANDS = ("echo", "fail", "defect", "slow", "interrupted", "ask", "flood", "group")
ROWS = {name: Row("Samples", "sample_commands", name, f"The {name} sample.") for name in COMMANDS}
MCCTL = [sys.executable, "-m", "mcctl"]


def sample(*argv: str) -> list[str]:
    """The command line of a process that runs a sample."""
    here = Path(__file__).parent
    start = f"import sys; sys.path[:0] = [{str(here)!r}]; import test_cli as t"
    code = f"{start}; sys.exit(t.run({list(argv)!r}, t.ROWS))"
    return [sys.executable, "-c", code]


def test_global_options_count_before_and_after_the_command() -> None:
    before = hoist(["--node", "a:1", "-ojson", "--timeout=5", "nodes", "x"])
    after = hoist(["nodes", "x", "--timeout", "5s", "-o", "json", "--node=a:1"])
    assert (
        before == after == (Options(nodes=("a:1",), output="json", timeout_s=5.0), ["nodes", "x"])
    )


def test_nothing_is_lifted_out_from_behind_a_double_dash() -> None:
    assert hoist(["run", "-q", "--", "-q", "--node"]) == (
        Options(quiet=True),
        ["run", "--", "-q", "--node"],
    )


@pytest.mark.parametrize(
    "argv", [["--timeout"], ["--timeout", "soon"], ["--timeout=-1"], ["-o", "xml"], ["--yes=1"]]
)
def test_a_wrong_global_option_is_a_usage_error_that_names_it(argv: list[str]) -> None:
    with pytest.raises(McError, match=argv[0].split("=")[0]) as caught:
        hoist(argv)
    assert caught.value.row.exit == 2


def test_data_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["echo", "x", "-o", "json", "--context", "prod", "--node", "n:1"], ROWS) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"words": ["x"], "context": "prod", "nodes": ["n:1"]}
    assert err == "a note\n"


def test_quiet_silences_notes_but_not_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-q", "echo"], ROWS) == 0
    out, err = capsys.readouterr()
    assert out == "NAME       N\na b        1\nlonger  1000\n"
    assert err == ""


def test_an_error_is_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail"], ROWS) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: x.toml is wrong [CONFIG_INVALID] (trace abc)",
        "  x.toml:3: a.b: must be above 0 (did you mean a.c?)",
        "next: correct the named lines, then `nodeagentd check-config`",
    ]


def test_an_error_is_an_object_on_stderr_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "-o", "json"], ROWS) == 2
    out, err = capsys.readouterr()
    assert out == ""
    said = json.loads(err)["error"]
    assert (said["reason"], said["exit"], said["trace_id"]) == ("CONFIG_INVALID", 2, "abc")
    assert said["faults"][0]["where"] == "x.toml:3"


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ecko"], ROWS) == 2
    assert "Did you mean 'echo'" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error_that_points_at_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["group", "second", "--nam", "x"], ROWS) == 2
    assert "`mcctl group second --help`" in capsys.readouterr().err


def test_a_command_of_a_group_runs_and_returns_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["group", "second", "x"], ROWS) == 7
    assert capsys.readouterr().out == "x\n"


def test_a_group_without_a_command_shows_its_help_and_exits_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["group"], ROWS) == 2
    assert "second" in capsys.readouterr().err


def test_a_defect_is_one_line_and_its_traceback_is_kept(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "MC_DEBUG": ""}
    done = subprocess.run(sample("defect"), env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: ZeroDivisionError: oops [INTERNAL]" in done.stderr
    assert "Traceback" not in done.stderr
    (kept,) = (tmp_path / "multicloud" / "defects").iterdir()
    assert str(kept) in done.stderr
    assert "in defect" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_defect_shows_its_traceback_when_asked(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "MC_DEBUG": "1"}
    done = subprocess.run(sample("defect"), env=env, capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_the_time_limit_ends_a_command_with_124() -> None:
    done = subprocess.run(sample("slow", "--timeout", "0.05"), capture_output=True, text=True)
    assert done.returncode == 124
    assert "not done within 0.05 s [DEADLINE]" in done.stderr


def test_ctrl_c_ends_a_command_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["interrupted"], ROWS) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_question_without_a_terminal_is_a_usage_error() -> None:
    done = subprocess.run(sample("ask"), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2
    assert "repeat with -y" in done.stderr


def test_yes_answers_every_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-y"], ROWS) == 0
    assert capsys.readouterr().out == "did it\n"


def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen(sample("flood"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(10) == 141


def on_a_terminal(argv: list[str], **env: str) -> str:
    """What a person sees: runs it with a pseudo-terminal as its stdout and stderr."""
    lead, follow = pty.openpty()
    process = subprocess.Popen(
        argv, stdout=follow, stderr=follow, env={**os.environ, "TERM": "xterm", **env}
    )
    os.close(follow)
    seen = b""
    try:
        while part := os.read(lead, 65536):
            seen += part
    except OSError:  # Linux says EIO when the other end is gone.
        pass
    finally:
        os.close(lead)
        process.wait(10)
    return seen.decode()


def test_a_terminal_gets_colours_unless_refused() -> None:
    assert "\x1b[32m" in on_a_terminal(sample("echo"), NO_COLOR="")
    assert "\x1b[32m" not in on_a_terminal(sample("echo"), NO_COLOR="1")
    assert "\x1b[32m" not in on_a_terminal(sample("echo", "--no-color"), NO_COLOR="")


def test_the_version_is_one_line() -> None:
    done = subprocess.run([*MCCTL, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_help_lists_the_commands_without_importing_them() -> None:
    """So it answers at once; how soon is a figure of `make bench`."""
    heavy = ("grpc", "cryptography", "pydantic")
    code = f"""
import sys
from mcctl.cli import run
run(["--help"])
print(sorted(set({heavy}) & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--context NAME" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_without_importing_them(shell: str) -> None:
    env = {
        **os.environ,
        "_MCCTL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "mcctl ech",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "mcctl ech",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(sample(), env=env, capture_output=True, text=True)
    assert "echo" in done.stdout, done.stderr
    assert "group" not in done.stdout
