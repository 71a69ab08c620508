"""`mcctl config` against a real node: as a person types it, in a process of its own."""

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
from tests.support.nodes import Running, make_place, running
from tests.support.people import CLUSTER, People


@dataclass
class Operator:
    """One who types commands, and the node that answers."""

    env: dict[str, str]
    node: Running

    async def types(self, *words: str) -> tuple[int, Any, Any]:
        """Exit code, what stood on stdout as JSON, and what on stderr."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcctl", "config", *words, "-o", "json"),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, json.loads(said or b"null"), json.loads(errors or b"null")

    def writes(self, more: str) -> int:
        """Adds to the node's configuration; the line that it begins on."""
        config = self.node.place.config
        line = config.read_text().count("\n") + 1
        config.write_text(config.read_text() + more)
        return line


@pytest.fixture
async def operator(people: People, tmp_path: Path) -> AsyncIterator[Operator]:
    async with running(make_place(people, tmp_path, 21)) as node:
        env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        who = people.operator("ann", "admin")
        endpoint = Endpoint(node.place.id, node.place.name, node.address)
        trust = trust_json(people.authority.trust)
        Contexts(env).save(
            Context(CLUSTER, CLUSTER, (endpoint,), who.certificate_pem, who.key_pem, trust)
        )
        yield Operator(env, node)


async def test_a_node_explains_what_is_in_force_there(operator: Operator) -> None:
    for words in (("explain", "node-21"), ("explain", "--node", "node-21")):
        code, values, error = await operator.types(*words)
        assert code == 0, error
        by_key = {value["key"]: value for value in values}
        assert by_key["node.name"]["value"] == '"node-21"'
        assert by_key["node.name"]["origin"].startswith(f"{operator.node.place.config}:")
        assert by_key["limits.stream_stall_s"] == {
            "key": "limits.stream_stall_s",
            "value": "30.0",
            "origin": "default",
            "why": "A stream that stands still for so long is ended.",
            "limits": "1 s to 600 s",
            "needs_restart": False,
        }


async def test_a_reload_says_what_applies_and_what_waits(operator: Operator) -> None:
    line = operator.writes("[limits]\nstream_stall_s = 7\nconnection_idle_s = 77\n")
    code, change, error = await operator.types("reload", "node-21")
    assert code == 0, error
    assert change == {
        "node": "node-21",
        "applied": ["limits.stream_stall_s"],
        "needs_restart": ["limits.connection_idle_s"],
    }
    _, values, _ = await operator.types("explain", "node-21", "--changed")
    by_key = {value["key"]: value for value in values}
    origin = f"{operator.node.place.config}:{line + 1}"
    assert by_key["limits.stream_stall_s"]["value"] == "7.0"
    assert by_key["limits.stream_stall_s"]["origin"] == origin
    assert "limits.connection_idle_s" not in by_key, "it waits for a restart"


async def test_a_broken_file_changes_nothing_and_its_line_is_told(operator: Operator) -> None:
    line = operator.writes("[limits]\nstream_stal_s = 7\n")
    code, _, said = await operator.types("reload", "node-21")
    assert code == 2
    assert said["error"]["reason"] == "CONFIG_INVALID"
    assert said["error"]["faults"] == [
        {
            "field": "limits.stream_stal_s",
            "rule": "is not an option",
            "where": f"{operator.node.place.config}:{line + 1}",
            "nearest": "limits.stream_stall_s",
        }
    ]
    assert operator.node.live.current.limits.stream_stall_s == 30


async def test_a_file_and_a_node_at_once_is_a_usage_error(operator: Operator) -> None:
    code, _, said = await operator.types("explain", "node-21", "--file", "/x")
    assert (code, said["error"]["reason"]) == (2, "USAGE")
