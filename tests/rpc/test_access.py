"""Every RPC of every service answers every role as the table says: default deny, no gaps."""

import grpc
import pytest

from identity.names import ROLES as ROLES_ISSUED
from multicloud.status import decode
from nodeagent.rpc.access import ACCESS, ROLES
from nodeagent.rpc.services import all_rpcs
from tests.support.nodes import Running, channel
from tests.support.people import CLUSTER, People

RPCS = all_rpcs({})


def test_every_rpc_has_a_row_and_every_row_an_rpc() -> None:
    assert set(ACCESS) == set(RPCS)


def test_the_roles_of_the_table_are_roles_that_certificates_can_have() -> None:
    assert set(ROLES) == set(ROLES_ISSUED)
    assert all(rule.roles for rule in ACCESS.values())


async def _outcome(opened: grpc.aio.Channel, path: str) -> str:
    """OK, or the reason of the refusal. Streams are opened and left after one message."""
    rpc = RPCS[path]
    kind = {
        (False, False): opened.unary_unary,
        (False, True): opened.unary_stream,
        (True, False): opened.stream_unary,
        (True, True): opened.stream_stream,
    }[rpc.takes_stream, rpc.gives_stream]
    method = kind(
        path,
        request_serializer=rpc.request.SerializeToString,
        response_deserializer=rpc.response.FromString,
    )
    request = iter([rpc.request()]) if rpc.takes_stream else rpc.request()
    call = method(request, timeout=10)
    try:
        if rpc.gives_stream:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return decode(error).reason
    return "OK"


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_what_its_rows_say_and_nothing_else(
    role: str, node: Running, people: People
) -> None:
    who = people.node("00000000000000aa") if role == "node" else people.operator("eve", role)
    async with channel(node, who) as opened:
        for path, rule in ACCESS.items():
            outcome = await _outcome(opened, path)
            if role in rule.roles:
                # Who greets or opens an epoch without saying that it is itself is refused there.
                speaks_for_itself = path.endswith(("/Greet", "/OpenEpoch"))
                assert outcome != "NOT_ALLOWED" or speaks_for_itself, path
            else:
                assert outcome == "NOT_ALLOWED", path


async def test_an_rpc_that_is_not_served_yet_is_unsupported_only_for_who_may_call_it(
    node: Running, people: People
) -> None:
    path = "/multicloud.v1.InsightService/ListAlerts"
    async with channel(node, people.operator("olga", "operator")) as opened:
        assert await _outcome(opened, path) == "UNSUPPORTED"
    async with channel(node, people.operator("mia", "metrics")) as opened:
        assert await _outcome(opened, path) == "NOT_ALLOWED"


async def test_a_method_that_does_not_exist_is_refused_after_the_caller_is_judged(
    node: Running, people: People
) -> None:
    async with channel(node, people.operator("ada", "admin")) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await opened.unary_unary("/no.Such/Thing")(b"", timeout=5)
    assert decode(caught.value).reason in {"UNSUPPORTED", "NOT_ALLOWED"}


async def test_an_operator_without_any_role_may_nothing(node: Running, people: People) -> None:
    who = people.odd([f"spiffe://{CLUSTER}/operator/nobody"])
    async with channel(node, who) as opened:
        for path in ("/grpc.health.v1.Health/Check", "/multicloud.v1.AdminService/ListNodes"):
            assert await _outcome(opened, path) == "NOT_ALLOWED"
