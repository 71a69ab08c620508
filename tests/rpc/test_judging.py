"""The wrong, expired, foreign, revoked, role-less caller: a typed refusal, and a line of audit."""

import asyncio
import json
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from multicloud.channel import Credentials
from multicloud.status import decode
from multicloud.v1 import admin_pb2
from nodeagent.rpc.access import ADMIN, METRICS, OPERATOR
from tests.support.nodes import (
    Running,
    admin,
    channel,
    lines_of_audit,
    make_place,
    refused,
    running,
    until,
)
from tests.support.people import CLUSTER, People

LIST = admin_pb2.ListNodesRequest()


async def _reason(node: Running, who: Credentials) -> str:
    async with channel(node, who) as opened:
        return (await refused(admin(opened).ListNodes(LIST, timeout=5))).reason


def denials(node: Running) -> list[dict[str, str]]:
    records = [json.loads(line) for line in lines_of_audit(node.place)]
    return [record for record in records if record["decision"] == "denied"]


URI = f"spiffe://{CLUSTER}/operator/eve"
ODD = {
    "no identity at all": [],
    "two identities": [URI, f"spiffe://{CLUSTER}/operator/mallory"],
    "an identity and another URI": [URI, "https://example.org/eve"],
    "another cluster": ["spiffe://elsewhere/operator/eve"],
    "no spiffe URI": ["https://example.org/eve"],
    "neither node nor operator": [f"spiffe://{CLUSTER}/robot/eve"],
    "a path after the name": [f"{URI}/admin"],
}


@pytest.mark.parametrize("uris", ODD.values(), ids=ODD.keys())
async def test_a_certificate_must_name_exactly_one_identity_of_this_cluster(
    uris: list[str], node: Running, people: People
) -> None:
    before = len(denials(node))
    assert await _reason(node, people.odd(uris, [ADMIN], dns=["x.example.org"])) == "NO_IDENTITY"
    await until(lambda: len(denials(node)) > before)
    assert denials(node)[-1]["reason"] == "NO_IDENTITY"


async def test_a_node_certificate_with_an_operators_role_is_no_identity(
    node: Running, people: People
) -> None:
    who = people.odd([f"spiffe://{CLUSTER}/node/{1:016x}"], ["node", ADMIN])
    assert await _reason(node, who) == "NO_IDENTITY"


async def test_a_caller_without_the_role_is_told_which_roles_may(
    node: Running, people: People
) -> None:
    async with channel(node, people.operator("mia", METRICS)) as opened:
        error = await refused(admin(opened).ListNodes(LIST, timeout=5))
    assert error.reason == "NOT_ALLOWED"
    assert "operator" in error.next
    assert error.trace_id
    last = await until(lambda: [d for d in denials(node) if d["trace_id"] == error.trace_id])
    assert last[0]["actor"] == f"spiffe://{CLUSTER}/operator/mia"
    assert last[0]["rpc"] == "/multicloud.v1.AdminService/ListNodes"


async def test_a_certificate_that_expires_ends_its_calls_on_an_open_connection(
    node: Running, people: People
) -> None:
    who = people.odd([URI], [OPERATOR], valid_s=(-60, 2))
    async with channel(node, who) as opened:
        await admin(opened).ListNodes(LIST, timeout=5)
        expired = asyncio.get_running_loop().time() + 2.5

        async def reason() -> str:
            try:
                await admin(opened).ListNodes(LIST, timeout=5)
            except grpc.aio.AioRpcError as error:
                return decode(error).reason
            return "OK"

        while (said := await reason()) == "OK":
            assert asyncio.get_running_loop().time() < expired + 5
            await asyncio.sleep(0.1)
    assert said == "CERTIFICATE_EXPIRED"


async def test_a_revocation_ends_an_open_stream_and_every_further_call(
    people: People, tmp_path: Path
) -> None:
    async with running(make_place(people, tmp_path, 1)) as node:
        thief = people.operator("thief", OPERATOR)
        async with (
            channel(node, thief) as stolen,
            channel(node, people.operator("ada", ADMIN)) as opened,
        ):
            stream = health_pb2_grpc.HealthStub(stolen).Watch(health_pb2.HealthCheckRequest())
            assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
            revocation = people.authority.revoke(
                f"spiffe://{CLUSTER}/operator/thief", "", "stolen", time.time()
            )
            request = admin_pb2.AddRevocationsRequest(revocations=[revocation])
            await admin(opened).AddRevocations(request, timeout=5)
            async with asyncio.timeout(5):
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    while True:
                        assert await stream.read() is not grpc.aio.EOF
            assert decode(ended.value).reason == "REVOKED"
            again = await refused(admin(stolen).ListNodes(LIST, timeout=5))
            assert again.reason == "REVOKED"
            assert "stolen" in again.message
        await until(lambda: [d for d in denials(node) if d["reason"] == "REVOKED"])


async def test_revoking_one_serial_leaves_the_other_certificates_of_a_person(
    people: People, tmp_path: Path
) -> None:
    from identity.certificate import read_certificate

    async with running(make_place(people, tmp_path, 1)) as node:
        old, new = people.operator("zoe", OPERATOR), people.operator("zoe", OPERATOR)
        serial = read_certificate(old.certificate_pem).serial
        revocation = people.authority.revoke(
            f"spiffe://{CLUSTER}/operator/zoe", serial, "old laptop", time.time()
        )
        async with channel(node, people.operator("ada", ADMIN)) as opened:
            request = admin_pb2.AddRevocationsRequest(revocations=[revocation])
            await admin(opened).AddRevocations(request, timeout=5)
        assert await _reason(node, old) == "REVOKED"
        async with channel(node, new) as opened:
            await admin(opened).ListNodes(LIST, timeout=5)


async def test_what_changes_something_is_in_the_log_before_it_is_answered(
    node: Running, people: People
) -> None:
    async with channel(node, people.operator("ada", ADMIN)) as opened:
        await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(), timeout=5)
    records = [json.loads(line) for line in lines_of_audit(node.place)]
    mine = [r for r in records if r["rpc"].endswith("/ReloadConfig")]
    assert mine[-1]["actor"] == f"spiffe://{CLUSTER}/operator/ada"
    assert mine[-1]["decision"] == "allowed"


async def test_when_the_log_cannot_be_written_nothing_is_changed_but_everything_can_be_read(
    people: People, tmp_path: Path
) -> None:
    place = make_place(people, tmp_path, 1)
    async with running(place) as node:
        await until(lambda: node.node.audit.healthy)
        async with channel(node, people.operator("ada", ADMIN)) as opened:
            reload = admin_pb2.ReloadConfigRequest()
            await admin(opened).ReloadConfig(reload, timeout=5)
            audit = place.state / "audit"
            audit.rename(place.state / "gone")
            audit.write_text("a file where the folder belongs")
            error = await refused(admin(opened).ReloadConfig(reload, timeout=5))
            assert error.reason == "AUDIT_UNWRITABLE"
            await until(lambda: not node.node.audit.healthy)
            await admin(opened).ListNodes(LIST, timeout=5)
            audit.unlink()
            (place.state / "gone").rename(audit)
            await until(lambda: node.node.audit.healthy)
            await admin(opened).ReloadConfig(reload, timeout=5)
