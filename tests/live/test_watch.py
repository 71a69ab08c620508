"""How nodes of a real cluster learn of each other's fate, and what they never say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.live.cluster import Cluster
from tests.live.eyes import Eyes, eyes

# On a quiet machine: down in half a second, dead in four; `make bench` has the figures.
DOWN_S_MAX, DEAD_S_MAX = 4.0, 12.0
PAUSE_S = 2.5


@pytest.fixture
async def seen(six: Cluster) -> AsyncIterator[Eyes]:
    async with eyes(six) as found:
        yield found


def asked(six: Cluster, *words: str, code: int = 0) -> Any:
    return six.home.json(*words, "--context", "dev-six", code=code)


async def test_a_killed_node_is_down_then_dead_for_all_and_status_says_what_to_do(
    six: Cluster, seen: Eyes
) -> None:
    others = seen.others("gcp-a")
    begun_s = await seen.do("kill", "gcp-a")
    assert await seen.tell(others, "node.down", "gcp-a", begun_s) < DOWN_S_MAX
    await seen.see(others, "gcp-a", "down", "dead")
    assert await seen.tell(others, "node.dead", "gcp-a", begun_s) < DEAD_S_MAX
    status = asked(six, "status", "--node", "azure-a")
    assert status["safe"] is True
    (problem,) = status["problems"]
    assert problem["code"] == "NODE_DEAD"
    assert "gcp-a" in problem["what"]
    assert "gcp-a" in problem["next"]
    placed = asked(six, "place", "--from", "aws-a", "--explain")
    (candidate,) = [c for c in placed["candidates"] if c["node"] == "gcp-a"]
    assert not candidate["eligible"]
    assert candidate["reason"].startswith("dead")
    assert len({(t["cloud"], t["region"], t["zone"]) for t in placed["targets"]}) == 3
    assert len({t["cloud"] for t in placed["targets"]}) >= 2
    checked = asked(six, "check", "--node", "aws-a", code=1)
    broken = [f for f in checked["findings"] if f["severity"] == "error"]
    assert broken
    assert all("gcp-a" in f["subject"] and f["next"] for f in broken)
    linked = asked(six, "check", "--link", "gcp-b", "aws-a")
    assert {f["subject"] for f in linked["findings"]} == {"gcp-b -> aws-a", "aws-a -> gcp-b"}
    nodes = {n["name"]: n for n in asked(six, "nodes")}
    assert (nodes["gcp-a"]["state"], nodes["gcp-a"]["rtt_ms"]) == ("dead", None)
    assert nodes["gcp-b"]["rtt_ms"] > 0
    await seen.tell(others, "node.gone", "gcp-a", begun_s)
    await seen.do("start", "gcp-a")
    await seen.all_well()


async def test_a_frozen_node_is_suspected_then_dead_and_refutes_it_when_it_goes_on(
    six: Cluster, seen: Eyes
) -> None:
    others = seen.others("azure-b")
    before = (await seen.node("aws-a", "azure-b")).facts.generation
    begun_s = await seen.do("pause", "azure-b")
    try:
        assert await seen.tell(others, "node.suspect", "azure-b", begun_s) < DOWN_S_MAX
        assert await seen.tell(others, "node.dead", "azure-b", begun_s) < DEAD_S_MAX
        await seen.nobody_tells("node.down", begun_s, others)
    finally:
        begun_s = await seen.do("resume", "azure-b")
    await seen.all_well()
    assert (await seen.node("aws-a", "azure-b")).facts.generation == before
    assert await seen.tell(["azure-b"], "node.refuted", "azure-b", begun_s) > 0


async def test_a_pause_of_two_and_a_half_seconds_is_no_death(seen: Eyes) -> None:
    begun_s = await seen.do("pause", "aws-b")
    await asyncio.sleep(PAUSE_S)  # The pause itself, not a wait for something.
    await seen.do("resume", "aws-b")
    await seen.tell(seen.others("aws-b"), "node.trusted", "aws-b", begun_s)
    await seen.all_well()
    await seen.nobody_tells("node.dead", begun_s)
    await seen.nobody_tells("node.down", begun_s)


async def test_a_cloud_that_is_cut_off_loses_nobody_who_is_heard_and_heals(
    six: Cluster, seen: Eyes
) -> None:
    azure, rest = ["azure-a", "azure-b"], seen.others("azure-a", "azure-b")
    begun_s = await seen.link("cut", "azure")
    for name in azure:
        await seen.see(rest, name, "dead")
        await seen.see(azure, name, "alive")
    for name in rest:
        await seen.see(rest, name, "alive")
        await seen.see(azure, name, "dead", "unreachable")
    for name in rest:
        assert {of for what, of, _ in await seen.told(name, begun_s) if what == "node.dead"} == set(
            azure
        )
    codes = [p["code"] for p in asked(six, "status", "--node", "aws-a")["problems"]]
    assert sorted(codes) == ["CLUSTER_FROZEN", "NODE_DEAD", "NODE_DEAD"]
    await seen.nobody_tells("node.gone", begun_s)
    healed_s = await seen.link("heal")
    await seen.all_well()
    assert asked(six, "status", "--node", "aws-a")["problems"] == []
    await seen.nobody_tells("node.dead", healed_s + 1)


async def test_a_way_that_is_cut_in_one_direction_condemns_nobody(seen: Eyes) -> None:
    begun_s = await seen.link("cut", "aws-a", "gcp-b", one_way=True)
    await seen.see(["aws-a"], "gcp-b", "suspect", "unreachable")
    await seen.see(seen.others("aws-a", "gcp-b"), "gcp-b", "alive")
    await seen.see(seen.others("aws-a", "gcp-b"), "aws-a", "alive")
    await seen.link("heal")
    await seen.all_well()
    await seen.nobody_tells("node.dead", begun_s)


async def test_a_region_goes_and_comes_back(seen: Eyes) -> None:
    gcp, rest = ["gcp-a", "gcp-b"], seen.others("gcp-a", "gcp-b")
    begun_s = await seen.do("kill", "gcp-a")
    await seen.do("kill", "gcp-b")
    for name in gcp:
        await seen.tell(rest, "node.down", name, begun_s)
    for name in gcp:
        await seen.do("start", name)
    await seen.all_well()


async def test_a_wiped_node_comes_back_with_a_generation_that_all_agree_on(seen: Eyes) -> None:
    before = (await seen.node("aws-a", "azure-a")).facts.generation
    await seen.do("restart", "azure-a")
    await seen.do("wipe", "azure-a")
    await seen.all_well()
    await seen.know("azure-a", lambda found: len(found) == 1 and min(found) > before + 1)


async def test_a_restart_after_a_kill_is_no_death(seen: Eyes) -> None:
    begun_s = await seen.do("kill", "aws-b")
    await seen.do("start", "aws-b")
    await seen.all_well()
    await seen.nobody_tells("node.dead", begun_s)
    await seen.nobody_tells("node.gone", begun_s)


async def test_a_rolling_restart_of_all_loses_nobody(seen: Eyes) -> None:
    before = {name: (await seen.node("aws-a", name)).facts.generation for name in seen.names}
    begun_s = 0.0
    for name in seen.names:
        done_s = await seen.do("restart", name)
        begun_s = begun_s or done_s
    await seen.all_well()
    await seen.nobody_tells("node.dead", begun_s)
    for name, generation in before.items():
        await seen.know(name, lambda found, wanted={generation + 1}: found == wanted)


async def test_a_node_that_is_stopped_says_goodbye(six: Cluster, seen: Eyes) -> None:
    others = seen.others("gcp-b")
    begun_s = await seen.do("stop", "gcp-b")
    assert await seen.tell(others, "node.left", "gcp-b", begun_s) < DOWN_S_MAX
    await seen.see(others, "gcp-b", "left")
    assert asked(six, "status", "--node", "aws-a")["problems"] == []
    await seen.do("start", "gcp-b")
    await seen.all_well()
    await seen.nobody_tells("node.dead", begun_s, others)


async def test_a_draining_node_is_not_chosen_also_after_a_restart(six: Cluster, seen: Eyes) -> None:
    drained = asked(six, "node", "drain", "aws-b", "--node", "gcp-a")
    assert drained["node"] == "aws-b"
    await seen.see(seen.names, "aws-b", "draining")
    await seen.do("restart", "aws-b")
    await seen.see(seen.names, "aws-b", "draining")
    placed = asked(six, "place", "--from", "aws-a", "--node", "azure-a", "--explain")
    (candidate,) = [c for c in placed["candidates"] if c["node"] == "aws-b"]
    assert (candidate["eligible"], candidate["reason"]) == (False, "draining")
    assert "aws-b" not in [t["node"] for t in placed["targets"]]
    assert asked(six, "status", "--node", "gcp-a")["problems"] == []
    assert asked(six, "node", "undrain", "aws-b")["state"] == "alive"
    await seen.all_well()
