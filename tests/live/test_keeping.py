"""What a cluster does to keep data, as its user sees it: a node is lost and its copies are made
anew, it returns, and another one is emptied so that its machine may be deleted.
"""

import json
from typing import Any

import pytest

from tests.live.cluster import Cluster, Home, until

FOUR = ("--nodes", "4", "--clouds", "3", "--no-wan", "--name", "four")
CONTEXT = ("--context", "dev-four")
REPAIR_S_MAX = 60.0
RULES = ("--spread", "zone=3", "--spread", "cloud=2")  # What three of the four can meet.


def status(home: Home) -> dict[str, Any]:
    """Its exit code is as `safe` says."""
    done = home.run("status", *CONTEXT, "-o", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["safe"] else 1)
    return found


def copies(home: Home) -> dict[str, int]:
    found: dict[str, int] = status(home)["chunks_by_copies"]
    return found


@pytest.mark.timeout(240)
async def test_lost_copies_are_made_anew_and_a_node_is_emptied_before_it_may_go(
    home: Home,
) -> None:
    four = Cluster(home, "four", home.json("dev", "up", *FOUR))
    source = home.folder / "data"
    source.mkdir()
    (source / "a.bin").write_bytes(bytes(range(256)) * 4096)
    home.json("submit", str(source), "--name", "kept", "--wait", *CONTEXT, *RULES)
    await until(lambda: status(home)["safe"] and bool(copies(home)), REPAIR_S_MAX)
    chunks = copies(home)
    assert list(chunks) == ["3"]

    asked = status(home)["answered_by"]
    receipt = home.json("receipt", home.json("jobs", *CONTEXT)[0]["job"], *CONTEXT)
    holders = {copy["node"] for chunk in receipt["replicas"] for copy in chunk["copies"]}
    lost = sorted(holders - {asked})[0]
    four.dev("kill", lost)
    await until(lambda: not status(home)["safe"], REPAIR_S_MAX)
    codes = {problem["code"] for problem in status(home)["problems"]}
    assert codes & {"NODE_SUSPECT", "NODE_DOWN", "NODE_DEAD"}
    await until(lambda: status(home)["safe"] and copies(home) == chunks, REPAIR_S_MAX)
    four.dev("start", lost)
    await until(lambda: "4" in copies(home), REPAIR_S_MAX)

    empty = sorted(holders - {asked, lost})[0]
    found = home.json("node", "drain", empty, "--deadline", "60", *CONTEXT)
    assert (found["done"], found["chunks_left"]) == (True, 0)
    four.dev("wipe", empty)
    await until(lambda: status(home)["safe"] and "3" in copies(home), REPAIR_S_MAX)
