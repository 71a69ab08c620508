"""A bit flips on the disk of a daemon: it is found, kept as evidence, repaired from another
node; `mcctl verify`, `doctor`, `node show` and `status` say so before and after.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from mcctl.dev.folder import Folder
from tests.live.cluster import Cluster, Home, until
from tests.support.disks import fault_of
from tests.support.sender import sending

THREE = ("--nodes", "3", "--clouds", "3", "--no-wan", "--name", "three")
PLAIN = bytes(range(256)) * 8192  # 2 MiB
REPAIR_S_MAX = 60.0


def file_of(node: dict[str, Any], chunk: str) -> Path:
    return Path(node["data_dir"]) / "chunks" / "chunks" / chunk[:2] / f"{chunk}.chunk"


async def stored(three: Cluster) -> str:
    """A chunk that is safe on all three."""
    async with (
        three.client() as client,
        sending(client, Folder(three.home.folder / "dev/three", "three")) as sender,
    ):
        done = await sender.put(PLAIN, "one")  # Three zones in two clouds at least: all of them.
    assert done.chunk_id in sender.safe
    return done.chunk_id.hex()


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100_000)
        byte = file.read(1)[0]
        file.seek(100_000)
        file.write(bytes([byte ^ 1]))


def verified(home: Home, chunk: str, code: int) -> dict[str, str]:
    found = home.json("verify", "--chunk", chunk, "--context", "dev-three", code=code)
    assert found["chunk"] == chunk
    assert found["copies_missing"] == 3 - found["copies_good"]
    return {copy["node"]: copy["state"] for copy in found["copies"]}


@pytest.mark.timeout(180)
async def test_a_flipped_bit_is_found_kept_as_evidence_and_repaired_within_a_minute(
    home: Home,
) -> None:
    three = Cluster(home, "three", home.json("dev", "up", *THREE))
    context = ("--context", "dev-three")
    chunk = await stored(three)
    assert set(verified(home, chunk, 0).values()) == {"good"}
    bad = three.node("gcp-a")
    file, good_bytes = file_of(bad, chunk), file_of(bad, chunk).read_bytes()

    flip(file)
    begun_s = time.monotonic()
    asked = home.json("doctor", "gcp-a", "--scrub", *context)
    assert "SCRUB" in [finding["code"] for finding in asked["findings"]]
    evidence = file.parents[2] / "quarantine"
    await until(lambda: file.exists() and file.read_bytes() == good_bytes, REPAIR_S_MAX)
    assert time.monotonic() - begun_s < REPAIR_S_MAX
    (kept,) = evidence.iterdir()
    assert fault_of(kept.read_bytes()) is not None

    told = home.run("events", *context)
    assert "chunk.damaged" in told.stdout
    assert "chunk.repaired" in told.stdout
    assert set(verified(home, chunk, 0).values()) == {"good"}
    (volume,) = home.json("node", "show", "gcp-a", *context)["volumes"]
    assert (volume["state"], volume["chunks"], volume["quarantined"]) == ("healthy", 1, 1)
    assert volume["folder"] == str(file.parents[2])
    after = home.json("doctor", *context)
    assert after["ok"]
    assert "EVIDENCE_KEPT" in [finding["code"] for finding in after["findings"]]
    assert home.json("status", *context)["safe"]


@pytest.mark.slow  # Another cluster; between nodes in one process tests/rpc has the same.
@pytest.mark.timeout(180)
async def test_whoever_verifies_finds_damage_and_a_chunk_that_nobody_has_is_told_in_red(
    home: Home,
) -> None:
    three = Cluster(home, "three", home.json("dev", "up", *THREE))
    context = ("--context", "dev-three")
    chunk = await stored(three)
    files = [file_of(three.node(name), chunk) for name in ("aws-a", "azure-a", "gcp-a")]

    flip(files[0])
    states = verified(home, chunk, 1)
    assert states == {"aws-a": "bad", "azure-a": "good", "gcp-a": "good"}
    await until(lambda: files[0].exists(), REPAIR_S_MAX)
    assert set(verified(home, chunk, 0).values()) == {"good"}

    for file in files:
        flip(file)
    verified(home, chunk, 1)
    await until(lambda: home.run("status", *context).returncode == 1, REPAIR_S_MAX)
    problems = home.json("status", *context, code=1)["problems"]
    assert "CHUNK_LOST" in [problem["code"] for problem in problems]
    assert home.json("doctor", *context, code=1)["ok"] is False
