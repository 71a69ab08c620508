"""Every command block of the README and the tutorial runs, in order, as a reader would type it.

Each page gets a home of its own; `mcctl` and `nodeagentd` are those of this checkout.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.blocks import Block, blocks_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/tutorial.md")
BLOCK_S_MAX = 60


def blocks(page: str) -> list[Block]:
    return blocks_of(page, (ROOT / page).read_text())


@contextmanager
def reader(home: Path) -> Iterator[Mapping[str, str]]:
    """The environment of somebody who has just installed it; what runs at the end is stopped."""
    programs = home / "bin"
    programs.mkdir(parents=True)
    for name, module in (("mcctl", "mcctl"), ("nodeagentd", "nodeagent")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    passphrase = home / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("correct horse battery staple\n")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MC_", "XDG_"))},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "MC_DEV_DIR": str(home / "dev"),
        "MC_CA_PASSPHRASE_FILE": str(passphrase),
    }
    try:
        yield environment
    finally:
        subprocess.run(["mcctl", "dev", "down"], env=environment, capture_output=True, check=False)


def run(block: Block, environment: Mapping[str, str], folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.commands],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BLOCK_S_MAX,
        check=False,
    )
    said = f"{block}: exit {done.returncode}\n{block.commands}\n{done.stdout}"
    assert done.returncode == block.exit_code, said


@pytest.mark.parametrize("page", PAGES)
async def test_every_block_of_a_page_runs(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    with reader(tmp_path / "home") as environment:
        for block in blocks(page):
            if not block.why_not_run:
                await asyncio.to_thread(run, block, environment, folder)


@pytest.mark.parametrize(("page", "run_min"), [("README.md", 1), ("docs/tutorial.md", 12)])
def test_most_of_a_page_is_run(page: str, run_min: int) -> None:
    assert len([block for block in blocks(page) if not block.why_not_run]) >= run_min


def test_a_command_that_fails_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"a\.md:7: exit 1"):
        run(Block("a.md", 7, "false\ntrue\n"), os.environ, tmp_path)
    run(Block("a.md", 7, "exit 3\n", exit_code=3), os.environ, tmp_path)
