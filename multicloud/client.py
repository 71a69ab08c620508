"""The client: from a context to a node that answers, pinned, with deadlines and typed errors.

async with Client(Contexts().load()) as client:
    answer = await client.admin.ListNodes(admin_pb2.ListNodesRequest())
"""

from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from multicloud.calls import CALL_TIMEOUT_S
from multicloud.context import Context, Endpoint
from multicloud.dial import Connection, dial, first_of
from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from multicloud.whois import split

if TYPE_CHECKING:
    from multicloud.v1.admin_pb2_grpc import AdminServiceAsyncStub

CONNECT_TIMEOUT_S = 3.0
STAGGER_S = 0.25  # The next address is tried beside one that has not answered by then.
PAGE_SIZE = 1000

Stub = TypeVar("Stub")


class Client:
    """Talks to whichever of the context's nodes, or of `nodes`, answers first."""

    def __init__(
        self,
        context: Context,
        nodes: Sequence[str] = (),
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self.context = context
        self._wanted = tuple(nodes)
        self._call_timeout_s = call_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._open: dict[str, Connection] = {}
        self._first: Connection | None = None

    async def __aenter__(self) -> "Client":
        dials = [self._dial(endpoint) for endpoint in endpoints(self.context, self._wanted)]
        self._first = await first_of(dials, STAGGER_S)
        self._open[self._first.node.id] = self._first
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._open.values():
            await connection.close()

    @property
    def connection(self) -> Connection:
        assert self._first is not None, "a client is used inside its `async with`"
        return self._first

    @property
    def node(self) -> Endpoint:
        """Who answers."""
        return self.connection.node

    @property
    def admin(self) -> "AdminServiceAsyncStub":
        return self.connection.admin

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        return self.connection.stub(kind)

    async def to(self, node: str) -> Connection:
        """A connection to this very node (id, name, or address); the client closes it."""
        endpoint = _known(self.context, node) or await self._ask_for(node)
        if endpoint.id in self._open:
            return self._open[endpoint.id]
        connection = await self._dial(endpoint)
        self._open[connection.node.id] = connection
        return connection

    async def _ask_for(self, node: str) -> Endpoint:
        token = ""
        while True:
            request = admin_pb2.ListNodesRequest(page_size=PAGE_SIZE, page_token=token)
            page = await self.admin.ListNodes(request)
            for found in page.nodes:
                facts = found.facts
                if node in (facts.id, facts.name) and facts.endpoints:
                    return Endpoint(facts.id, facts.name, facts.endpoints[0].api)
            token = page.next_page_token
            if not token:
                break
        return _named_address(self.context, node)

    def _dial(self, endpoint: Endpoint) -> Coroutine[Any, Any, Connection]:
        return dial(
            endpoint,
            self.context.cluster,
            self.context.credentials,
            connect_timeout_s=self._connect_timeout_s,
            call_timeout_s=self._call_timeout_s,
        )


def endpoints(context: Context, wanted: Sequence[str] = ()) -> list[Endpoint]:
    """The wanted nodes of a context (by id, name or address), or all that it knows."""
    if wanted:
        return [_known(context, node) or _named_address(context, node) for node in wanted]
    if not context.endpoints:
        raise McError(
            "UNREACHABLE",
            f"the context {context.name} knows no node yet",
            next="`mcctl cluster issue-node`, or name one: --node host:port",
        )
    return list(context.endpoints)


def _known(context: Context, node: str) -> Endpoint | None:
    for endpoint in context.endpoints:
        if node in (endpoint.id, endpoint.name, endpoint.address):
            return endpoint
    return None


def _named_address(context: Context, node: str) -> Endpoint:
    if ":" not in node:
        known = ", ".join(e.name for e in context.endpoints) or "none"
        raise McError(
            "NODE_UNKNOWN",
            f"the context {context.name} knows no node {node!r}; known: {known}",
            next="give its address: --node host:port",
        )
    split(node)
    return Endpoint("", "", node)
