"""What lasts: a node that was removed stays so through every restart; twelve nodes agree as six do;
and what an operator watches with his own commands.
"""

import json
import os
import pty
import signal
import subprocess
from datetime import datetime
from pathlib import Path

from tests.live.cluster import MCCTL, Cluster, Home, until
from tests.live.eyes import eyes

THREE = ("--nodes", "3", "--clouds", "3", "--no-wan", "--name", "three")
TWELVE = ("--nodes", "12", "--clouds", "3", "--name", "twelve")


async def test_a_removed_node_is_refused_for_ever_whoever_restarts(home: Home) -> None:
    three = Cluster(home, "three", home.json("dev", "up", *THREE))
    context = ("--context", "dev-three")
    async with eyes(three) as seen:
        asked = home.run("node", "remove", "gcp-a", *context)
        assert asked.returncode == 2
        assert "for ever" in asked.stderr
        assert "gcp-a" in await seen.view("aws-a")
        # Also when the one that would answer is the one that goes.
        removed = home.json("node", "remove", "gcp-a", "-y", "--node", "gcp-a", *context)
        assert (removed["name"], removed["state"]) == ("gcp-a", "removed")
        rest = ["aws-a", "azure-a"]
        await seen.see(rest, "gcp-a", "absent")
        await seen.see(["gcp-a"], "gcp-a", "removed")
        for victims in (["gcp-a"], seen.names):
            for name in victims:
                await seen.do("restart", name)
            for name in rest:
                await seen.see(rest, name, "alive")
            await seen.see(["gcp-a"], "gcp-a", "removed")
        assert [n["name"] for n in home.json("nodes", *context, "--node", "aws-a")] == rest
        assert home.json("status", *context, "--node", "azure-a")["problems"] == []
        assert home.json("check", *context, "--node", "aws-a")["ok"] is True
        (problem,) = [
            p
            for p in home.json("status", *context, "--node", "gcp-a")["problems"]
            if p["code"] == "NODE_REMOVED"
        ]
        assert "issue-node" in problem["next"]
        await seen.link("heal")


async def test_twelve_nodes_agree_on_one_that_dies(home: Home) -> None:
    twelve = Cluster(home, "twelve", home.json("dev", "up", *TWELVE))
    async with eyes(twelve) as seen:
        assert len(seen.names) == 12
        victim = seen.names[5]
        begun_s = await seen.do("kill", victim)
        await seen.tell(seen.others(victim), "node.down", victim, begun_s)
        await seen.do("start", victim)
        await seen.all_well()
        await seen.nobody_tells("node.dead", begun_s)


async def test_watch_tells_each_change_and_events_tell_why_until_interrupted(
    six: Cluster, tmp_path: Path
) -> None:
    option = ("--context", "dev-six", "-o", "jsonl")
    states, tales = tmp_path / "states", tmp_path / "tales"
    with states.open("w") as first, tales.open("w") as second:
        watching = subprocess.Popen(  # noqa: ASYNC220  Their start may block.
            [*MCCTL, "nodes", "--watch", *option], env=six.home.env, stdout=first
        )
        following = subprocess.Popen(  # noqa: ASYNC220
            [*MCCTL, "events", "--follow", *option], env=six.home.env, stdout=second
        )
    try:
        await until(lambda: len(lines(states)) >= 6 and lines(tales))
        async with eyes(six) as seen:
            begun_s = await seen.do("kill", "gcp-a")
            await until(
                lambda: ("gcp-a", "down") in [(n["name"], n["state"]) for n in lines(states)]
            )
            await until(lambda: len(downs(tales, begun_s)) == 5)
            await seen.do("start", "gcp-a")
            await seen.all_well()
        await until(
            lambda: [n["state"] for n in lines(states) if n["name"] == "gcp-a"][-1] == "alive"
        )
    finally:
        for command in (watching, following):
            command.send_signal(signal.SIGINT)
    assert [watching.wait(10), following.wait(10)] == [130, 130]
    seen_down = downs(tales, begun_s)
    assert len({t["seen_by"] for t in seen_down}) == 5
    assert "its process is gone" in {t["why"] for t in seen_down}


def downs(tales: Path, since_s: float) -> list[dict[str, str]]:
    return [
        t
        for t in lines(tales)
        if (t["event"], t["node"]) == ("node.down", "gcp-a")
        and datetime.fromisoformat(t["time"]).timestamp() >= since_s
    ]


def lines(path: Path) -> list[dict[str, str]]:
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def test_on_a_terminal_the_table_is_drawn_again_and_ctrl_c_gives_the_cursor_back(
    six: Cluster,
) -> None:
    lead, follow = pty.openpty()
    watching = subprocess.Popen(
        [*MCCTL, "nodes", "--watch", "--context", "dev-six"],
        env={**six.home.env, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"},
        stdin=follow,
        stdout=follow,
        stderr=follow,
    )
    os.close(follow)
    shown = b""
    while shown.count(b"azure-b") < 2:  # Drawn twice at least.
        shown += os.read(lead, 65536)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    shown += os.read(lead, 65536)
    os.close(lead)
    assert shown.rindex(b"\x1b[?25h") > shown.index(b"\x1b[?25l")
    assert b"Traceback" not in shown


def test_what_has_no_end_is_refused_in_formats_that_end(six: Cluster) -> None:
    for words in (("nodes", "--watch"), ("events", "--follow")):
        done = six.home.run(*words, "--context", "dev-six", "-o", "json")
        assert done.returncode == 2
        assert "jsonl" in done.stderr
