"""What is done to nodes of a dev cluster, and how the others see it."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mcctl.dev import ports
from tests.live.cluster import ALIVE, Cluster

# How far a measured round trip may be above the delays set, with six daemons on few cores.
RTT_SLACK_MS = 15.0


def links_to(cluster: Cluster, target: str) -> list[int]:
    """The ports of the links by which the others find a node, from their own configurations."""
    import tomllib

    node_id = cluster.node(target)["id"]
    found = []
    for node in cluster.described["nodes"]:
        peers = tomllib.loads(Path(node["config"]).read_text()).get("dev", {}).get("peers", {})
        found += [int(p["api"].split(":")[1]) for key, p in peers.items() if key == node_id]
    return found


def refuses(port: int) -> bool:
    with socket.socket() as raw:
        return raw.connect_ex(("127.0.0.1", port)) != 0


def test_status_has_the_fields_that_scripts_rely_on(six: Cluster) -> None:
    described = six.dev("status")
    assert described["context"] == "dev-six"
    assert described["dashboard"] is None
    where = ["name", "cloud", "region", "zone"]
    wanted = [*where, "address", "http", "pid", "data_dir", "log", "state"]
    for node in described["nodes"]:
        assert set(wanted) <= set(node)
        assert node["state"] == "running"
        assert Path(node["data_dir"]).is_dir()
        assert Path(node["log"]).stat().st_size > 0
    names = [node["name"] for node in described["nodes"]]
    assert names == ["aws-a", "aws-b", "gcp-a", "gcp-b", "azure-a", "azure-b"]
    numbers = [int(n[key].split(":")[1]) for n in described["nodes"] for key in ("address", "http")]
    assert all(ports.PORT_MIN <= number < ports.PORT_MAX for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_daemons_run_with_certificates_of_the_clusters_own_ca(six: Cluster) -> None:
    node = six.described["nodes"][0]
    identity = Path(node["config"]).parent / "identity"
    assert {path.name for path in identity.iterdir()} >= {"node.crt", "node.key", "trust.json"}
    assert (identity / "node.key").stat().st_mode & 0o777 == 0o600
    assert json.loads((identity / "trust.json").read_text())["cluster"] == "dev-six"


async def test_greetings_take_as_long_as_the_delays_set(six: Cluster) -> None:
    async with six.client() as client:
        links = {(link["from"], link["to"]): link["delay_ms"] for link in six.described["links"]}
        for here, there in (("aws-a", "azure-b"), ("gcp-b", "aws-b")):
            wanted_ms = links[here, there] + links[there, here]
            assert wanted_ms > 20
            measured_ms = await settled_ms(six, client, here, there, wanted_ms)
            assert wanted_ms - 1 <= measured_ms <= wanted_ms + RTT_SLACK_MS


async def settled_ms(six: Cluster, client: Any, here: str, there: str, wanted_ms: float) -> float:
    """The time that a node measures, once it is near what is wanted or stays away from it."""
    import asyncio

    ms = 0.0
    for _ in range(40):
        ms = (await six.view(client, here))[there].rtt_ms
        if ms and abs(ms - wanted_ms) <= RTT_SLACK_MS:
            break
        await asyncio.sleep(0.25)
    return ms


async def test_a_delay_that_is_set_is_felt_and_healed(six: Cluster) -> None:
    shaped = six.dev("link", "aws-a", "aws-b", "--delay-ms", "60")
    assert {link["delay_ms"] for link in shaped} == {60}
    async with six.client() as client:
        assert await settled_ms(six, client, "aws-a", "aws-b", 120) >= 119
        six.dev("heal", "aws-a", "aws-b")
        assert await settled_ms(six, client, "aws-a", "aws-b", 1) <= 1 + RTT_SLACK_MS


async def test_a_killed_node_looks_dead_and_comes_back_where_it_was(six: Cluster) -> None:
    before = six.node("gcp-a")
    assert six.dev("kill", "gcp-a")["state"] == "killed"
    assert not os.path.exists(f"/proc/{before['pid']}")
    assert all(refuses(port) for port in links_to(six, "gcp-a"))
    for other in ("aws-a", "azure-b"):
        await six.sees(other, "gcp-a", alive=False)
    after = six.dev("start", "gcp-a")
    assert after["state"] == "running"
    assert (after["address"], after["id"]) == (before["address"], before["id"])
    assert after["pid"] != before["pid"]
    for other in ("aws-a", "azure-b"):
        await six.sees(other, "gcp-a", alive=True)


async def test_a_stopped_node_ends_cleanly_and_a_restarted_one_is_a_new_process(
    six: Cluster,
) -> None:
    stopped = six.dev("stop", "azure-b")
    assert (stopped["state"], stopped["exit_code"], stopped["pid"]) == ("stopped", 0, None)
    started = six.dev("start", "azure-b")
    restarted = six.dev("restart", "azure-b")
    assert restarted["state"] == "running"
    assert restarted["pid"] != started["pid"]
    await six.sees("aws-a", "azure-b", alive=True)


async def test_a_paused_node_is_there_and_silent(six: Cluster) -> None:
    assert six.dev("pause", "gcp-b")["state"] == "paused"
    assert not any(refuses(port) for port in links_to(six, "gcp-b"))
    await six.sees("aws-a", "gcp-b", alive=False)
    assert six.dev("resume", "gcp-b")["state"] == "running"
    await six.sees("aws-a", "gcp-b", alive=True)


async def test_a_wiped_node_has_an_empty_disk_and_its_old_identity(six: Cluster) -> None:
    before = six.node("azure-a")
    (Path(six.node("azure-a")["data_dir"]) / "left-over").write_text("x")
    wiped = six.dev("wipe", "azure-a")
    assert not (Path(wiped["data_dir"]) / "left-over").exists()
    assert (wiped["id"], wiped["address"]) == (before["id"], before["address"])
    await six.sees("aws-a", "azure-a", alive=True)


async def test_a_cut_separates_two_nodes_and_nobody_else(six: Cluster) -> None:
    six.dev("cut", "aws-a", "gcp-a")
    await six.sees("aws-a", "gcp-a", alive=False)
    await six.sees("gcp-a", "aws-a", alive=False)
    async with six.client() as client:
        view = await six.view(client, "aws-a")
        assert all(n.state == ALIVE for name, n in view.items() if name != "gcp-a")
        view = await six.view(client, "aws-b")
        assert all(n.state == ALIVE for n in view.values())
    six.dev("heal")
    await six.sees("aws-a", "gcp-a", alive=True)
    await six.sees("gcp-a", "aws-a", alive=True)


async def test_a_cloud_that_is_cut_off_one_way_cannot_be_heard(six: Cluster) -> None:
    cut = six.dev("cut", "azure", "--one-way")
    assert len(cut) == 8
    for hearer in ("aws-a", "gcp-b"):
        await six.sees(hearer, "azure-a", alive=False)
    await six.sees("azure-a", "azure-b", alive=True)
    six.dev("heal")
    for hearer in ("aws-a", "gcp-b"):
        await six.sees(hearer, "azure-a", alive=True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("kill", "aws-z"), 5, "aws-a"),
        (("cut", "mars", "aws"), 5, "no node, region or cloud"),
        (("cut", "aws-a", "aws-a"), 2, "no two nodes"),
        (("resume",), 2, "NODE"),
        (("start", "aws-a"), 1, "runs already"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: tuple[str, ...], code: int, said: str, six: Cluster
) -> None:
    done = six.home.run("dev", *words, "--name", "six")
    assert done.returncode == code
    assert said in done.stderr
