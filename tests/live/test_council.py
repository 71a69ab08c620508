"""The council of a dev cluster: what an operator decides while members are killed and come back."""

import asyncio
from typing import Any

from tests.live.cluster import Cluster, Home
from tests.live.eyes import Eyes, eyes

FIVE = ("--nodes", "6", "--clouds", "3", "--no-wan", "--name", "elders")
CONTEXT = ("--context", "dev-elders")
SEEN_S_MAX = 30.0


async def status(cluster: Cluster, asked: str, *, until: Any) -> dict[str, Any]:
    """As `mcctl status` tells it, once it is so."""
    async with asyncio.timeout(SEEN_S_MAX):
        while True:
            words = ("status", *CONTEXT, "--node", asked)
            found: dict[str, Any] = await asyncio.to_thread(cluster.home.json, *words)
            if until(found["council"]):
                return found
            await asyncio.sleep(0.2)


async def test_five_members_decide_while_three_are_there_and_two_say_that_they_cannot(
    home: Home,
) -> None:
    elders = Cluster(home, "elders", home.json("dev", "up", *FIVE))
    async with eyes(elders) as seen:
        first = seen.names[0]
        found = await status(elders, first, until=lambda c: len(c["members"]) == 5)
        assert found["council"]["deciding"]
        members = [one["name"] for one in found["council"]["members"]]
        killed, stays = members[:2], members[3]
        await kill(seen, *killed)
        shown = home.run("status", *CONTEXT, "--node", stays)
        assert "council: epoch" in shown.stdout
        # Three of five decide that a node is gone for ever.
        removed = home.json("node", "remove", killed[0], "-y", "--node", stays, *CONTEXT)
        assert removed["state"] == "removed"
        found = await status(elders, stays, until=lambda c: killed[0] not in str(c["members"]))
        assert found["council"]["deciding"]
        there = [one["name"] for one in found["council"]["members"] if one["there"]]
        members = [name for name in there if name not in killed]
        await refuses_where_too_few_are_left(elders, seen, members)


async def refuses_where_too_few_are_left(elders: Cluster, seen: Eyes, members: list[str]) -> None:
    home = elders.home
    stays, *others = members
    await kill(seen, *others)
    found = await status(elders, stays, until=lambda c: not c["deciding"])
    (lost,) = [p for p in found["problems"] if p["code"] == "COUNCIL_LOST"]
    assert all(name in lost["next"] for name in others)
    words = ("node", "remove", others[0], "-y", "--node", stays, *CONTEXT, "-o", "json")
    refused = await asyncio.to_thread(home.run, *words)
    assert refused.returncode == 3, refused.stderr
    assert "NO_MAJORITY" in refused.stderr
    assert others[0] in home.run("nodes", *CONTEXT, "--node", stays).stdout  # Reading goes on.
    for name in others:
        await seen.do("start", name)
    await status(elders, stays, until=lambda c: c["deciding"])
    removed = await asyncio.to_thread(home.json, *words[:-2])
    assert removed["state"] == "removed"


async def kill(seen: Eyes, *names: str) -> None:
    for name in names:
        await seen.do("kill", name)
