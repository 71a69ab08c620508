"""The election as operators ask for it: over real mTLS, with every refusal typed."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from coordinator.rtt_table import RttTable
from coordinator.types import Knowing, NodeId, View
from mcctl import show
from mcctl.place import fields, screen
from multicloud import regions
from multicloud.channel import open_channel
from multicloud.v1 import admin_pb2, job_pb2
from nodeagent.rpc.access import AUDITOR, OPERATOR
from nodeagent.rpc.admin.placing import PlacementAdmin
from nodeagent.rpc.guard import Guard
from nodeagent.rpc.server import listen, server_options
from nodeagent.rpc.services import all_rpcs
from tests.support.nodes import Running, admin, free_ports, refused
from tests.support.people import People
from tests.support.worlds import NEAR_VIRGINIA, REGIONS, domain, member, spread_out, view

SIX = spread_out(NEAR_VIRGINIA, "ab")
MIB = 1 << 20


class Known:
    """A node's knowledge that the test changes."""

    def __init__(self) -> None:
        self.seen = view(SIX)
        self.against: dict[NodeId, str] = {}

    def view(self) -> View:
        return self.seen

    def rtts(self) -> RttTable:
        return RttTable(REGIONS.rtt_ms)

    def unfit(self) -> Mapping[NodeId, str]:
        return self.against


class Boundless:
    def take(self, key: str) -> float:
        return 0.0


class Blind:
    @contextmanager
    def around(self, method: str, metadata: Mapping[str, str | bytes]) -> Iterator[str]:
        yield "trace"

    def done(self, method: str, code: str, seconds: float) -> None: ...
    def limited(self, limit: str) -> None: ...
    def defect(self, method: str, error: BaseException) -> None:
        raise error


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
async def served(node: Running, known: Known) -> AsyncIterator[str]:
    placing = PlacementAdmin(known, regions.load(), known.unfit)
    guard = Guard(
        rpcs=all_rpcs({"AdminService": [placing]}),
        gate=node.node.gate,
        budget=Boundless(),
        record=node.node.record,
        observer=Blind(),
        limits=lambda: node.live.current.limits,
    )
    server = grpc.aio.server(options=server_options(node.live.current.limits))
    server.add_generic_rpc_handlers((guard,))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    listen(server, address, node.node.identity.credentials(), "test")
    await server.start()
    yield address
    await server.stop(0)


@pytest.fixture
async def ask(served: str, node: Running, people: People) -> AsyncIterator[Any]:
    opened = open_channel(served, node.dns_name, people.operator("ada", OPERATOR))

    def asked(**fields: Any) -> Any:
        request = admin_pb2.ExplainPlacementRequest(**{"size_bytes": 64 * MIB, **fields})
        return admin(opened).ExplainPlacement(request, timeout=5)

    yield asked
    await opened.close()


async def test_the_answer_names_targets_tree_price_and_a_reason_for_every_node(ask: Any) -> None:
    answer = await ask(from_node="n1", placement_key="task-1")
    assert list(answer.targets) == ["n1", "n5", "n6"]
    assert answer.met
    assert answer.from_node == "n1"
    assert [(getattr(e, "from"), e.to) for e in answer.tree] == [("n1", "n5"), ("n5", "n6")]
    assert answer.usd == pytest.approx(0.09 * 64 * MIB / 1e9)
    assert answer.prices_date == regions.load().prices_of.isoformat()
    assert {c.node for c in answer.candidates} == {f"n{i}" for i in range(1, 7)}
    assert all(c.reason and c.eligible and c.domain.cloud for c in answer.candidates)
    assert (answer.survival.zones, answer.survival.clouds) == (2, 1)


async def test_who_asks_without_a_node_asks_for_the_one_that_answers(ask: Any) -> None:
    assert (await ask()).from_node == "n1"
    assert (await ask(from_node=SIX[3].id)).from_node == "n4"


async def test_what_the_body_knows_against_a_node_keeps_it_out(ask: Any, known: Known) -> None:
    known.against = {SIX[4].id: "breaker open"}
    answer = await ask(from_node="n1")
    assert "n5" not in answer.targets
    assert [c.reason for c in answer.candidates if c.node == "n5"] == ["breaker open"]


async def test_a_cloud_that_is_away_is_told_and_the_rest_is_used(ask: Any, known: Known) -> None:
    known.seen = view(
        replace(m, knowing=Knowing.DEAD) if m.facts and m.facts.domain.cloud != "aws" else m
        for m in SIX
    )
    answer = await ask(from_node="n1")
    assert not answer.met
    assert "2 clouds are wanted and there is 1 (aws)" in answer.unmet
    assert list(answer.targets) == ["n1", "n2"]


async def test_a_policy_that_can_never_be_met_is_refused_with_the_flag_that_lowers_it(
    ask: Any, known: Known
) -> None:
    known.seen = view(m for m in SIX if m.facts and m.facts.domain.cloud == "aws")
    error = await refused(ask(from_node="n1"))
    assert error.reason == "POLICY_IMPOSSIBLE"
    assert error.row.exit == 2
    assert "2 clouds are wanted and there is 1 (aws)" in error.message
    assert error.next == (
        "add nodes in other places, or relax it with --spread cloud=1 --spread zone=2 --replicas 2"
    )
    known.seen = view(SIX)
    kept_in = await refused(ask(policy=job_pb2.Policy(allow_regions=["gcp/*"])))
    assert "or allow more regions with --allow, or relax it with" in kept_in.next


async def test_what_is_no_policy_is_refused_field_by_field(ask: Any) -> None:
    cloud = job_pb2.SPREAD_LEVEL_CLOUD
    policy = job_pb2.Policy(
        replicas=3,
        spread=[
            job_pb2.SpreadRule(level=cloud, count=4),
            job_pb2.SpreadRule(level=cloud, count=1),
            job_pb2.SpreadRule(count=1),
        ],
        allow_regions=["aws"],
        near_region="gcp/*",
    )
    error = await refused(ask(policy=policy, from_node="n1"))
    assert error.reason == "BAD_REQUEST"
    assert [fault.field for fault in error.faults] == [
        "policy.spread",
        "policy.spread.count",
        "policy.spread.level",
        "policy.allow_regions",
        "policy.near_region",
    ]
    many = await refused(ask(policy=job_pb2.Policy(replicas=9)))
    assert [fault.field for fault in many.faults] == ["policy.replicas"]
    nothing = await refused(ask(size_bytes=0, placement_key="k" * 300))
    assert [fault.field for fault in nothing.faults] == ["size_bytes", "placement_key"]
    assert (await refused(ask(from_node="n77"))).reason == "NODE_UNKNOWN"


async def test_an_auditor_may_not_ask(served: str, node: Running, people: People) -> None:
    opened = open_channel(served, node.dns_name, people.operator("eve", AUDITOR))
    request = admin_pb2.ExplainPlacementRequest(size_bytes=1)
    assert (await refused(admin(opened).ExplainPlacement(request, timeout=5))).reason == (
        "NOT_ALLOWED"
    )
    await opened.close()


async def test_the_screen_shows_what_was_answered(
    ask: Any, known: Known, capsys: pytest.CaptureFixture[str]
) -> None:
    far = member(7, domain("gcp/asia-northeast1"))
    known.seen = view([*SIX, far])
    answer = await ask(from_node="n1", placement_key="task-1")
    found = fields(answer)
    assert found["targets"][1] == {
        "node": "n5",
        "cloud": "azure",
        "region": "eastus",
        "zone": "a",
    }
    assert set(found) >= {"targets", "candidates", "tree", "survives"}
    assert set(found["candidates"][0]) >= {"node", "eligible", "reason", "score"}
    assert set(found["tree"][0]) == {"from", "to", "usd_per_gb", "ms"}
    show.emit(found, list(screen(found, 64 * MIB, explain=True)))
    said = capsys.readouterr().out
    assert "64 MiB from n1: 3 targets" in said
    assert "$0.09/GB, $0.006 in all, at prices of 2022-05-01:" in said
    assert "n1 (keeps a copy)\n└─ $0.09/GB, 1.9 ms ─ n5\n   └─ free, 0.8 ms ─ n6\n" in said
    assert "any 1 region or any 1 cloud." in said
    assert "the best plan with it costs more: $0.11/GB against $0.09/GB" in said
