"""`mcctl audit` against two real nodes: as a person types it, in a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from identity.records import trust_json
from multicloud.context import Context, Contexts, Endpoint
from multicloud.v1 import admin_pb2
from tests.support.nodes import Running, admin, channel, make_place, refused, running, until
from tests.support.people import CLUSTER, People


@dataclass
class Operator:
    """One who types commands; `nodes` is who answers."""

    env: dict[str, str]
    nodes: tuple[Running, Running]

    async def types(self, *words: str) -> tuple[int, Any, str]:
        """Exit code, what stood on stdout as JSON, and stderr."""
        out, err = asyncio.subprocess.PIPE, asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "mcctl", "audit", *words, "-o", "json")
        process = await asyncio.create_subprocess_exec(
            *command, env=self.env, stdout=out, stderr=err
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, json.loads(said or b"null"), errors.decode()


@pytest.fixture
async def operator(people: People, tmp_path: Path) -> AsyncIterator[Operator]:
    first = make_place(people, tmp_path, 11, {"audit": {"head_every_s": 1.0}})
    async with running(first) as one:
        joined = {"join": {"peers": [one.address], "greet_every_s": 0.2, "greet_timeout_s": 1.0}}
        second = make_place(people, tmp_path, 12, joined | {"audit": {"head_every_s": 1.0}})
        async with running(second) as other:
            env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
            who = people.operator("ann", "admin")
            endpoint = Endpoint(one.place.id, one.place.name, one.address)
            trust = trust_json(people.authority.trust)
            context = Context(
                CLUSTER, CLUSTER, (endpoint,), who.certificate_pem, who.key_pem, trust
            )
            Contexts(env).save(context)
            await _leave_records(one, people)
            await _leave_records(other, people)
            await until(lambda: _holds_head_of(one, other) and _holds_head_of(other, one))
            yield Operator(env, (one, other))


async def _leave_records(node: Running, people: People) -> None:
    """Refused calls of somebody without a role that would do."""
    async with channel(node, people.operator("eve", "metrics")) as opened:
        for _ in range(3):
            call = admin(opened).DrainNode(admin_pb2.DrainNodeRequest(), timeout=10)
            assert (await refused(call)).reason == "NOT_ALLOWED"
    await until(lambda: node.node.audit.head().sequence >= 3)


def _holds_head_of(node: Running, other: Running) -> bool:
    kept = node.place.state / "audit" / "heads" / f"{other.place.id}.heads"
    return kept.exists()


async def test_logs_are_verified_shown_and_a_cut_one_is_found(operator: Operator) -> None:
    code, found, _ = await operator.types("verify")
    assert code == 0
    assert [(n["node"], n["ok"], n["problem"]) for n in found] == [
        ("node-11", True, None),
        ("node-12", True, None),
    ]
    assert all(n["records"] >= 3 and n["heads"] >= 1 for n in found)

    code, records, _ = await operator.types("show", "node-12", "--denied", "--tail", "2")
    assert code == 0
    assert [(r["actor"], r["decision"], r["reason"]) for r in records] == [
        (f"spiffe://{CLUSTER}/operator/eve", "denied", "NOT_ALLOWED")
    ] * 2

    (log,) = (operator.nodes[1].place.state / "audit").glob("audit-*.jsonl")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:1]))
    code, found, _ = await operator.types("verify", "node-12")
    assert code == 1
    assert found[0]["problem"].startswith("cut after 1")


async def test_an_unknown_node_is_named_with_the_known_ones(operator: Operator) -> None:
    code, _, errors = await operator.types("verify", "node-99")
    assert code == 5
    assert json.loads(errors)["error"]["reason"] == "NODE_UNKNOWN"
    assert "node-11, node-12" in errors
