"""A node passes calls on to the node that they name, for the caller and for nobody else."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.v1 import admin_pb2
from nodeagent.rpc.access import ADMIN, AUDITOR, OPERATOR, SUBMITTER
from nodeagent.rpc.call import ON_BEHALF_KEY
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


@pytest.fixture(scope="module")
async def pair(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Running]]:
    folder: Path = tmp_path_factory.mktemp("pair")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(make_place(people, folder, 1)))
        join = {"join": {"peers": [first.address], "greet_every_s": 0.2, "greet_timeout_s": 0.5}}
        second = await stack.enter_async_context(running(make_place(people, folder, 2, join)))
        await until(
            lambda: (p := first.node.roster.find("node-2")) and first.node.greeter.reached(p)
        )
        yield first, second


async def test_a_call_that_names_another_node_is_answered_by_that_node(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        request = admin_pb2.GetConfigRequest(node="node-2")
        answer = await admin(opened).GetConfig(request, timeout=5)
    values = {value.key: value.value for value in answer.values}
    assert values["node.name"] == '"node-2"'
    assert values["listen.api"] == f'"{second.address}"'


async def test_both_logs_name_the_operator_and_the_second_also_who_passed_it_on(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(node="node-2"), timeout=5)
    last = [json.loads(lines_of_audit(one.place)[-1]) for one in (first, second)]
    assert [r["actor"] for r in last] == [f"spiffe://{CLUSTER}/operator/ada"] * 2
    assert [r["via"] for r in last] == ["", f"spiffe://{CLUSTER}/node/{first.place.id}"]
    assert last[0]["trace_id"] == last[1]["trace_id"]


async def test_an_unknown_node_is_named_in_the_refusal(
    pair: tuple[Running, Running], people: People
) -> None:
    async with channel(pair[0], people.operator("ada", ADMIN)) as opened:
        request = admin_pb2.GetConfigRequest(node="nodde-2")
        error = await refused(admin(opened).GetConfig(request, timeout=5))
    assert error.reason == "NODE_UNKNOWN"
    assert "nodde-2" in error.message


async def test_the_log_of_another_node_can_be_read_through_this_one(
    pair: tuple[Running, Running], people: People
) -> None:
    first, second = pair
    async with channel(first, people.operator("ada", ADMIN)) as opened:
        await admin(opened).ReloadConfig(admin_pb2.ReloadConfigRequest(node="node-2"), timeout=5)
    async with channel(first, people.operator("otto", AUDITOR)) as opened:
        call = admin(opened).ReadAudit(admin_pb2.ReadAuditRequest(node="node-2"), timeout=5)
        lines = [line async for answer in call for line in answer.lines]
    assert lines == lines_of_audit(second.place)


async def test_a_node_speaks_only_for_operators_whose_certificate_it_can_show(
    pair: tuple[Running, Running], people: People, tmp_path: Path
) -> None:
    foreign = People(tmp_path / "foreign").operator("ada", ADMIN)
    reload = admin_pb2.ReloadConfigRequest()
    async with channel(pair[0], people.node("00000000000000aa")) as opened:
        alone = await refused(admin(opened).ReloadConfig(reload, timeout=5))
        forged = await refused(
            admin(opened).ReloadConfig(
                reload, timeout=5, metadata=((ON_BEHALF_KEY, foreign.certificate_pem),)
            )
        )
        junk = await refused(
            admin(opened).ReloadConfig(reload, timeout=5, metadata=((ON_BEHALF_KEY, b"junk"),))
        )
    assert [alone.reason, forged.reason, junk.reason] == ["NOT_ALLOWED", "UNTRUSTED", "NO_IDENTITY"]


async def test_a_role_that_may_not_call_may_not_through_a_node_either(
    pair: tuple[Running, Running], people: People
) -> None:
    bob = people.operator("bob", SUBMITTER)
    async with channel(pair[0], people.node("00000000000000aa")) as opened:
        error = await refused(
            admin(opened).ReloadConfig(
                admin_pb2.ReloadConfigRequest(),
                timeout=5,
                metadata=((ON_BEHALF_KEY, bob.certificate_pem),),
            )
        )
    assert error.reason == "NOT_ALLOWED"


async def test_an_operator_may_not_speak_for_another(
    pair: tuple[Running, Running], people: People
) -> None:
    ada = people.operator("ada", ADMIN)
    async with channel(pair[0], people.operator("olga", OPERATOR)) as opened:
        error = await refused(
            admin(opened).ReloadConfig(
                admin_pb2.ReloadConfigRequest(),
                timeout=5,
                metadata=((ON_BEHALF_KEY, ada.certificate_pem),),
            )
        )
    assert error.reason == "NOT_ALLOWED"


async def test_what_may_not_be_passed_on_may_not_be_asked_for_another(
    pair: tuple[Running, Running], people: People
) -> None:
    ada = people.operator("ada", ADMIN)
    async with channel(pair[0], people.node("00000000000000aa")) as opened:
        error = await refused(
            admin(opened).AddRevocations(
                admin_pb2.AddRevocationsRequest(),
                timeout=5,
                metadata=((ON_BEHALF_KEY, ada.certificate_pem),),
            )
        )
    assert error.reason == "NOT_ALLOWED"
