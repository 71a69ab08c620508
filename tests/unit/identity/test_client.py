"""The client finds a node that answers, knows who it is, and says why others did not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from identity_world import NODE_A, NODE_B, PASSPHRASE, node, operator
from tls_server import Server

from identity.authority import Authority
from identity.records import trust_json
from multicloud.client import Client
from multicloud.context import Context, Endpoint
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests here: none of them changes it."""
    return Authority.create(tmp_path_factory.mktemp("ca") / "prod", "prod", PASSPHRASE)


@pytest.fixture
async def server(authority: Authority, tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(authority, node(authority), tmp_path / "node") as running:
        yield running


@pytest.fixture
async def nowhere() -> str:
    """An address where nothing listens any more."""
    async with await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0) as gone:
        return f"127.0.0.1:{gone.sockets[0].getsockname()[1]}"


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """An address that takes connections and says nothing."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as quiet:
        yield f"127.0.0.1:{quiet.sockets[0].getsockname()[1]}"


def context(authority: Authority, *endpoints: Endpoint) -> Context:
    member = operator(authority)
    trust = trust_json(authority.trust)
    return Context("prod", "prod", endpoints, member.certificate_pem, member.key_pem, trust)


async def listed(client: Client) -> int:
    return len((await client.admin.ListNodes(admin_pb2.ListNodesRequest())).nodes)


async def test_the_first_node_that_answers_is_asked(
    server: Server, authority: Authority, nowhere: str, silent: str
) -> None:
    known = context(
        authority,
        Endpoint(NODE_B, "aws-b", nowhere),
        Endpoint("cccccccccccccccc", "aws-c", silent),
        Endpoint(NODE_A, "aws-a", server.address),
    )
    async with Client(known) as client:
        assert client.node.name == "aws-a"
        assert await listed(client) == 0


async def test_an_address_without_an_id_is_asked_who_it_is(
    server: Server, authority: Authority
) -> None:
    async with Client(context(authority), [server.address]) as client:
        assert client.node.id == NODE_A


async def test_a_node_may_be_named_as_the_context_knows_it(
    server: Server, authority: Authority, nowhere: str
) -> None:
    known = context(
        authority, Endpoint(NODE_B, "aws-b", nowhere), Endpoint(NODE_A, "aws-a", server.address)
    )
    async with Client(known, ["aws-a"]) as client:
        assert client.node.id == NODE_A


async def test_why_each_node_did_not_answer_is_one_error(
    server: Server, authority: Authority, nowhere: str, silent: str
) -> None:
    known = context(
        authority,
        Endpoint(NODE_B, "aws-b", nowhere),
        Endpoint("cccccccccccccccc", "aws-c", silent),
        Endpoint("dddddddddddddddd", "aws-d", server.address),
    )
    with pytest.raises(McError) as failed:
        async with Client(known, connect_timeout_s=0.5):
            pass
    assert failed.value.reason == "UNREACHABLE"
    for said in ("nothing listens", "no answer within", NODE_A):
        assert said in failed.value.message


async def test_an_operator_is_not_taken_for_a_node(authority: Authority) -> None:
    """A member's own certificate must not let it pose as a node."""
    member = operator(authority, "eve")
    server = grpc.aio.server()
    credentials = grpc.ssl_server_credentials([(member.key_pem, member.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    with pytest.raises(McError, match="operator/eve, not a node") as refused:
        async with Client(context(authority), [f"127.0.0.1:{port}"]):
            pass
    await server.stop(None)
    assert refused.value.reason == "WRONG_PEER"


async def test_a_name_that_the_context_does_not_know_is_refused(authority: Authority) -> None:
    known = context(authority, Endpoint(NODE_A, "aws-a", "127.0.0.1:1"))
    with pytest.raises(McError, match="knows no node 'nobody'; known: aws-a"):
        async with Client(known, ["nobody"]):
            pass


async def test_a_context_without_nodes_says_what_to_do(authority: Authority) -> None:
    with pytest.raises(McError, match="knows no node yet"):
        async with Client(context(authority)):
            pass


async def test_what_the_server_does_not_offer_is_a_typed_error(
    server: Server, authority: Authority
) -> None:
    async with Client(context(authority), [server.address]) as client:
        with pytest.raises(McError) as failed:
            await client.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert failed.value.reason == "UNSUPPORTED"
        with pytest.raises(McError) as failed:
            async for _ in client.admin.ReadAudit(admin_pb2.ReadAuditRequest()):
                pass
        assert failed.value.reason == "UNSUPPORTED"


async def test_a_node_that_others_know_can_be_asked_directly(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    async with Server(authority, node(authority, NODE_B), tmp_path / "b") as other:
        facts = common_pb2.NodeFacts(
            id=NODE_B, name="aws-b", endpoints=[common_pb2.Endpoint(api=other.address)]
        )
        server.echo.nodes.append(common_pb2.Node(facts=facts))
        async with Client(context(authority), [server.address]) as client:
            direct = await client.to("aws-b")
            assert direct.node.id == NODE_B
            assert await client.to(NODE_B) is direct
            await direct.admin.ListNodes(admin_pb2.ListNodesRequest())
            with pytest.raises(McError, match="knows no node 'aws-z'"):
                await client.to("aws-z")
        assert other.echo.callers
