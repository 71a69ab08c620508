"""`mcctl rtt` and GetRtt over real mTLS, from a brain's snapshot given by hand."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coordinator.distance import Measured
from coordinator.rtt_table import RttTable
from coordinator.types import Domain, Facts, Knowing, Member, NodeId, Record, View
from identity.records import trust_json
from multicloud import regions
from multicloud.channel import open_channel
from multicloud.context import Context, Contexts, Endpoint
from multicloud.v1 import admin_pb2
from nodeagent.rpc.admin.rtts import ROWS_MAX, RttAdmin
from tests.support.nodes import Running, admin, free_ports, make_place, refused, running
from tests.support.people import CLUSTER, People

NOW_S = 1000.0
AT = {
    "aws-a": Domain("aws", "us-east-1", "a"),
    "aws-b": Domain("aws", "us-east-1", "b"),
    "gcp-a": Domain("gcp", "us-central1", "a"),
    "azure-a": Domain("azure", "westeurope", "1"),
}


def member(name: str, domain: Domain, knowing: Knowing = Knowing.ALIVE, **rtts_ms: float) -> Member:
    facts = Facts(name, 1, 1, name, domain, rtts_ms=rtts_ms)
    return Member(Record(name, 1), knowing, facts, 0.0)


@dataclass
class Known:
    """A brain's snapshot."""

    members: list[Member]
    direct: dict[NodeId, Measured] = field(default_factory=dict)

    def view(self) -> View:
        return View("aws-a", {one.id: one for one in self.members})

    def rtts(self) -> RttTable:
        facts = [one.facts for one in self.members if one.facts]
        return RttTable(regions.load().rtt_ms).merged(facts, NOW_S - 20)

    def measured(self) -> Mapping[NodeId, Measured]:
        return self.direct


def small() -> Known:
    told = {"aws-a": {"gcp/us-central1": 33.5}, "gcp-a": {"azure/westeurope": 104.2}}
    members = [member(name, at, **told.get(name, {})) for name, at in AT.items()]
    gone = member("gcp-z", AT["gcp-a"], Knowing.DEAD)
    direct = Measured(1.25, 0.1, 3.0, "application", 10, 2.0)
    return Known([*members, gone], {"aws-b": direct})


@dataclass
class Asked:
    """A node that answers by whatever is `known`, and one who asks it."""

    known: Known
    node: Running
    address: str
    people: People
    env: dict[str, str]

    async def pairs(self, *, by_region: bool = False) -> list[admin_pb2.RttPair]:
        request = admin_pb2.GetRttRequest(by_region=by_region)
        who = self.people.operator("sue", "submitter")
        async with open_channel(self.address, self.node.dns_name, who) as opened:
            return list((await admin(opened).GetRtt(request, timeout=5)).pairs)

    async def types(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcctl", "rtt", *words),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said.decode(), errors.decode()


@pytest.fixture
async def asked(people: People, tmp_path: Path) -> AsyncIterator[Asked]:
    known = small()
    async with running(make_place(people, tmp_path, 31)) as node:
        rtts = RttAdmin(known, lambda: NOW_S)
        servicers = {"AdminService": [rtts, *node.node._servicers["AdminService"]]}
        address = f"127.0.0.1:{free_ports(1)[0]}"
        server = node.node._server(address, "listen.api", node.node._guard(servicers))
        await server.start()
        env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        who = people.operator("ann", "admin")
        endpoint = Endpoint(node.place.id, node.place.name, address)
        trust = trust_json(people.authority.trust)
        Contexts(env).save(
            Context(CLUSTER, CLUSTER, (endpoint,), who.certificate_pem, who.key_pem, trust)
        )
        yield Asked(known, node, address, people, env)
        await server.stop(0.2)


def by_ends(pairs: list[admin_pb2.RttPair]) -> dict[tuple[str, str], tuple[float, bool, float]]:
    return {(getattr(p, "from"), p.to): (p.ms, p.measured, p.age_s) for p in pairs}


async def test_every_pair_of_members_has_a_cell_with_source_and_age(asked: Asked) -> None:
    cells = by_ends(await asked.pairs())
    assert len(cells) == len(AT) * (len(AT) - 1), "the dead have no row"
    assert cells["aws-a", "gcp-a"] == cells["gcp-a", "aws-b"] == (33.5, True, 20)
    assert cells["azure-a", "gcp-a"] == (104.2, True, 20)
    typical_ms = regions.load().rtt_ms(AT["aws-a"], AT["azure-a"])
    assert cells["aws-a", "azure-a"] == (typical_ms, False, 0)


async def test_what_the_answering_node_measured_itself_goes_first(asked: Asked) -> None:
    cells = by_ends(await asked.pairs())
    assert cells["aws-a", "aws-b"] == cells["aws-b", "aws-a"] == (1.25, True, 2)


async def test_regions_are_asked_for_by_name(asked: Asked) -> None:
    cells = by_ends(await asked.pairs(by_region=True))
    assert len(cells) == 6
    assert cells["gcp/us-central1", "aws/us-east-1"] == (33.5, True, 20)


async def test_a_matrix_that_no_answer_holds_names_the_way_out(asked: Asked) -> None:
    for number in range(ROWS_MAX):
        asked.known.members.append(member(f"x{number}", AT["gcp-a"]))
    error = await refused(asked.pairs())
    assert error.reason == "TOO_LARGE"
    assert "--by region" in error.next
    assert len(await asked.pairs(by_region=True)) == 6


async def test_the_largest_matrix_of_the_longest_names_fits(asked: Asked) -> None:
    asked.known.members[:] = [
        member(f"{number:03}".ljust(63, "n"), AT["gcp-a"]) for number in range(ROWS_MAX)
    ]
    assert len(await asked.pairs()) == ROWS_MAX * (ROWS_MAX - 1)


async def test_json_has_the_fields_that_scripts_rely_on(asked: Asked) -> None:
    code, said, errors = await asked.types("-o", "json")
    assert (code, errors) == (0, "")
    pairs: list[dict[str, Any]] = json.loads(said)["pairs"]
    assert len(pairs) == len(AT) * (len(AT) - 1)
    assert {
        "from": "gcp-a",
        "to": "aws-a",
        "ms": 33.5,
        "source": "measured",
        "age_s": 20.0,
    } in pairs
    _, said, _ = await asked.types("--by", "region", "-o", "json")
    assert len(json.loads(said)["pairs"]) == 6


async def test_people_see_a_matrix_and_with_long_each_pair(asked: Asked) -> None:
    code, said, errors = await asked.types()
    assert code == 0, errors
    head, *rows = [line.split() for line in said.splitlines()]
    assert head == ["FROM", "AWS-A", "AWS-B", "AZURE-A", "GCP-A"]
    assert rows[0][:3] == ["aws-a", ".", "1.2"]
    assert rows[0][3].startswith("~"), "nobody measured it"
    assert rows[3] == ["gcp-a", "33.5", "33.5", "104", "."]
    assert "\x1b" not in said, "shades are for terminals"
    code, said, _ = await asked.types("--long")
    assert ["gcp-a", "aws-a", "33.500", "measured", "20"] in [
        line.split() for line in said.splitlines()
    ]
