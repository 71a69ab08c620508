"""`mcctl cluster` from the first command to a retired CA, with real nodes: as a person types it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from identity.bundle import read_node_bundle, unpack
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from tests.support.nodes import Place, Running, free_ports, running, until
from tests.support.people import CLUSTER, PASSPHRASE

CONFIG = """
[node]
id = "{id}"
name = "{name}"
cluster = "{cluster}"
cloud = "aws"
region = "us-east-1"
state_dir = "{home}/state"
[identity]
dir = "{home}/identity"
[listen]
api = "{api}"
watch = "{watch}"
http = ""
[join]
peers = {join}
greet_every_s = 0.2
greet_timeout_s = 1.0
[limits]
control_calls_per_s = 10000
control_calls_burst = 10000
"""


@dataclass
class Laptop:
    """One who types commands, and the nodes that were installed from the bundles."""

    home: Path
    nodes: dict[str, Running] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        secret = self.home / "passphrase"
        if not secret.exists():
            secret.touch(0o600)
            secret.write_text(PASSPHRASE + "\n")
        return os.environ | {
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "MC_CA_PASSPHRASE_FILE": str(secret),
            "USER": "ada",
        }

    async def types(self, *words: str) -> tuple[int, Any, Any]:
        """Exit code, what stood on stdout as JSON, and what on stderr."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcctl", *words, "-o", "json"),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said, errors = await asyncio.wait_for(process.communicate(), 60)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, json.loads(said or b"null"), errors.decode()

    async def does(self, *words: str) -> Any:
        code, value, errors = await self.types(*words)
        assert code == 0, errors
        return value

    async def refused(self, *words: str) -> dict[str, Any]:
        code, value, errors = await self.types(*words)
        assert code != 0, value
        error: dict[str, Any] = json.loads(errors)["error"]
        assert error["exit"] == code
        return error

    def client(self, *nodes: str) -> Client:
        return Client(Contexts(self.env).load(CLUSTER), nodes)

    def place(self, name: str, api: str, watch: str) -> Place:
        """As an installation does it."""
        bundle = read_node_bundle(self.home / f"{name}.bundle")
        home = self.home / name
        unpack(bundle, home / "identity")
        config = home / "nodeagent.toml"
        config.write_text(
            CONFIG.format(
                id=bundle.id,
                name=name,
                cluster=bundle.cluster,
                home=home,
                api=api,
                watch=watch,
                join=json.dumps(bundle.join),
            )
        )
        return Place(bundle.id, name, home, config)


@pytest.fixture
async def laptop(tmp_path: Path) -> AsyncIterator[Laptop]:
    """A cluster of two nodes that know each other."""
    laptop = Laptop(tmp_path)
    await laptop.does("cluster", "init", CLUSTER)
    ports = free_ports(4)
    async with AsyncExitStack() as stack:
        for number, name in enumerate(("a", "b")):
            api, watch = (f"127.0.0.1:{port}" for port in ports[2 * number :][:2])
            where = ("--cloud", "aws", "--region", "us-east-1", "--address", api, "--watch", watch)
            await laptop.does(
                *("cluster", "issue-node", name, *where, "--out", f"{tmp_path}/{name}.bundle")
            )
            node = await stack.enter_async_context(running(laptop.place(name, api, watch)))
            laptop.nodes[name] = node
        a, b = laptop.nodes.values()
        await until(lambda: a.node.roster.find("b") and b.node.roster.find("a"))
        yield laptop


def serial(node: Running) -> str:
    return node.node.identity.holder.serial


async def listed(client: Client) -> int:
    return len((await client.admin.ListNodes(admin_pb2.ListNodesRequest())).nodes)


async def test_every_certificate_is_renewed_while_calls_go_on(laptop: Laptop) -> None:
    before = {name: serial(node) for name, node in laptop.nodes.items()}
    async with laptop.client() as client:
        assert await listed(client) == 2
        renewed = await laptop.does("cluster", "renew", "--all")
        assert [(one["node"], one["state"]) for one in renewed["nodes"]] == [
            ("a", "renewed"),
            ("b", "renewed"),
        ]
        assert renewed["own"]["identity"] == f"spiffe://{CLUSTER}/operator/ada"
        assert await listed(client) == 2, "the open connection goes on"
    assert all(serial(node) != before[name] for name, node in laptop.nodes.items())
    async with laptop.client() as client:
        assert await listed(client) == 2


async def test_no_call_fails_while_certificates_and_the_ca_change(laptop: Laptop) -> None:
    done = asyncio.Event()
    calls = 0

    async def call_on_new_connections() -> None:
        nonlocal calls
        while not done.is_set():
            async with laptop.client() as client:
                calls += await listed(client)

    async def call_on_an_open_connection() -> None:
        nonlocal calls
        async with laptop.client() as client:
            while not done.is_set():
                calls += await listed(client)

    async with asyncio.TaskGroup() as group:
        group.create_task(call_on_new_connections())
        group.create_task(call_on_an_open_connection())
        for words in (("renew", "--all"), ("rotate-ca",), ("rotate-ca", "--finish", "-y")):
            await laptop.does("cluster", *words)
        done.set()
    assert calls > 0
    assert all(node.node.identity.trust.version == 3 for node in laptop.nodes.values())


async def test_a_node_behind_another_is_renewed_through_it(laptop: Laptop) -> None:
    before = serial(laptop.nodes["b"])
    renewed = await laptop.does("cluster", "renew", "b", "--node", "a")
    assert renewed["nodes"][0]["state"] == "renewed"
    assert renewed["own"] is None
    assert serial(laptop.nodes["b"]) != before


async def test_a_ca_is_rotated_and_the_old_one_retired(laptop: Laptop) -> None:
    before = Contexts(laptop.env).load(CLUSTER)
    rotated = await laptop.does("cluster", "rotate-ca")
    assert (rotated["trust_version"], rotated["ca_certificates"]) == (2, 2)
    assert {one["state"] for one in rotated["nodes"]} == {"renewed"}
    own = replace(before, trust_json=Contexts(laptop.env).load(CLUSTER).trust_json)
    async with Client(own) as client:
        assert await listed(client) == 2, "the old certificate counts until --finish"

    again = await laptop.does("cluster", "rotate-ca")
    assert (again["trust_version"], again["ca_certificates"]) == (2, 2), "repeating goes on"

    finished = await laptop.does("cluster", "rotate-ca", "--finish", "-y")
    assert (finished["trust_version"], finished["ca_certificates"]) == (3, 1)
    assert await laptop.does("cluster", "rotate-ca", "--finish", "-y") == finished
    for node in laptop.nodes.values():
        assert node.node.identity.trust.version == 3
    async with laptop.client() as client:
        assert await listed(client) == 2
    with pytest.raises(McError, match="does not accept this certificate"):
        async with Client(own):
            pass
    # The nodes still know each other: each has dialled anew with what it was given.
    a, b = laptop.nodes.values()
    heard_s = b.node.roster.find(a.place.id).heard_s
    await until(lambda: b.node.roster.find(a.place.id).heard_s > heard_s)


async def test_another_operator_takes_the_new_trust_and_goes_on(laptop: Laptop) -> None:
    bundle = str(laptop.home / "bob.bundle")
    await laptop.does("cluster", "issue-operator", "bob", "--role", "auditor", "--out", bundle)
    await laptop.does("context", "import", bundle, "--name", "bob")
    error = await laptop.refused("cluster", "rotate-ca")
    assert "bob must know the new CA" in error["message"]
    await laptop.does("cluster", "rotate-ca", "-y")
    with pytest.raises(McError, match="not of this cluster"):
        async with Client(Contexts(laptop.env).load("bob")):
            pass
    trust = laptop.home / f"config/multicloud/authorities/{CLUSTER}/trust.json"
    taken = await laptop.does("context", "trust", str(trust), "--context", "bob")
    assert taken["trust_version"] == 2
    async with Client(Contexts(laptop.env).load("bob")) as client:
        assert await listed(client) == 2
    forged = laptop.home / "forged.json"
    forged.write_text(trust.read_text().replace('"version": 2', '"version": 3'))
    error = await laptop.refused("context", "trust", str(forged), "--context", "bob")
    assert error["reason"] == "UNTRUSTED"


async def test_nothing_is_renewed_while_a_node_does_not_trust_the_new_ca(laptop: Laptop) -> None:
    """It would be cut off when it comes back: nobody that it believes could tell it."""
    await laptop.does(
        *("cluster", "issue-node", "away", "--cloud", "aws", "--region", "us-east-1"),
        *("--address", f"127.0.0.1:{free_ports(1)[0]}", "--out", str(laptop.home / "away.bundle")),
    )
    code, rotated, _ = await laptop.types("cluster", "rotate-ca")
    assert code == 1
    states = {one["node"]: one["state"] for one in rotated["nodes"]}
    assert states == {"a": "trusts", "b": "trusts", "away": "failed"}
    error = await laptop.refused("cluster", "rotate-ca", "--finish", "-y")
    assert "a, b, away would be cut off" in error["message"]
    await laptop.does("cluster", "revoke", "away", "--reason", "never came", "-y")
    await laptop.does("cluster", "rotate-ca")
    finished = await laptop.does("cluster", "rotate-ca", "--finish", "-y")
    assert finished["ca_certificates"] == 1


async def test_a_revoked_operator_is_out_on_every_node_and_in_again_with_a_new_bundle(
    laptop: Laptop,
) -> None:
    bundle = str(laptop.home / "bob.bundle")
    issue = ("cluster", "issue-operator", "bob", "--role", "auditor", "--out", bundle)
    await laptop.does(*issue)
    await laptop.does("context", "import", bundle, "--name", "bob")
    async with Client(Contexts(laptop.env).load("bob")) as bob:
        await listed(bob)
        revoked = await laptop.does("cluster", "revoke", "bob", "--reason", "left", "-y")
        assert {one["state"] for one in revoked["nodes"]} == {"knows"}
        with pytest.raises(McError) as refused:
            await listed(bob)
        assert refused.value.reason == "REVOKED"
    repeated = await laptop.does("cluster", "revoke", "bob", "--reason", "again", "-y")
    assert repeated["reason"] == "left", "a fact is signed once"
    assert (await laptop.refused("cluster", "renew", "--context", "bob"))["reason"] == "REVOKED"

    await laptop.does(*issue)
    await laptop.does("context", "import", bundle, "--name", "bob")
    async with Client(Contexts(laptop.env).load("bob")) as bob:
        await listed(bob)


async def test_a_revoked_node_is_out(laptop: Laptop) -> None:
    await laptop.does("cluster", "revoke", "b", "--reason", "stolen", "-y")
    a, b = laptop.nodes.values()
    assert a.node.identity.revocations.revoked(b.node.identity.holder)
    endpoints = Contexts(laptop.env).load(CLUSTER).endpoints
    assert [one.name for one in endpoints] == ["a"]
    assert (await laptop.refused("cluster", "renew", "b"))["reason"] == "REVOKED"
    await until(lambda: "stolen" in refusals(b))


def refusals(node: Running) -> str:
    """Why peers do not answer this node, as it sees them."""
    return " ".join(peer.failure for peer in node.node.roster.peers.values())
