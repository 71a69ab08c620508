"""The generated pages of the documentation are what the code says, and a drift of them is seen."""

import re
import subprocess
import sys
from pathlib import Path

from multicloud.errors import REASONS
from nodeagent.rpc.access import ACCESS

ROOT = Path(__file__).resolve().parents[2]


def pages(*words: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own: the width of help texts is an affair of the environment."""
    command = [sys.executable, "-c", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_pages_are_what_the_code_says() -> None:
    done = pages("from tools.pages.__main__ import main; raise SystemExit(main(['check']))")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_was_edited_by_hand_or_is_gone_is_seen(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path

from multicloud.errors import REASONS
from nodeagent.rpc.access import ACCESS
from tools.pages.__main__ import drift, write
folder = Path({str(tmp_path)!r})
write(folder)
assert drift(folder) == []
errors = folder / "errors.md"
errors.write_text(errors.read_text() + "by hand")
(folder / "api.md").unlink()
print(*drift(folder), sep="\\n")
"""
    done = pages(code)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "docs/api.md",
        "docs/errors.md",
    ], done.stderr


def test_the_page_of_errors_has_every_reason_and_that_of_the_api_every_rpc() -> None:

    errors = (ROOT / "docs" / "errors.md").read_text()
    assert [reason for reason in REASONS if f"`{reason}`" not in errors] == []
    api = (ROOT / "docs" / "api.md").read_text()
    ours = [path.rpartition("/")[2] for path in ACCESS if path.startswith("/multicloud.")]
    assert len(ours) > 50
    assert [rpc for rpc in ours if f"| `{rpc}` |" not in api] == []


def test_the_page_of_the_api_says_which_rpcs_are_served() -> None:
    api = (ROOT / "docs" / "api.md").read_text()
    marks = dict(re.findall(r"^\| `([A-Z]\w+)` \|.*\| ([^|]*) \|$", api, re.MULTILINE))
    assert "not yet" not in marks["ReloadConfig"]
    assert marks["Greet"].strip() == ""
    assert marks["CreateJob"] == "not yet, audited"
