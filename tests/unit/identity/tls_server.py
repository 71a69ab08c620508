"""A real gRPC server with mutual TLS that says who has called."""

from pathlib import Path

import grpc
from identity_world import Member, installed

from identity.authority import Authority
from identity.store import NodeIdentity
from multicloud.channel import SERVER_KEEPALIVE_OPTIONS
from multicloud.v1 import admin_pb2, admin_pb2_grpc, common_pb2


class Echo(admin_pb2_grpc.AdminServiceServicer):
    """Lists one node: itself, by the version of its own answer."""

    def __init__(self) -> None:
        self.callers: list[str] = []
        self.nodes: list[common_pb2.Node] = []

    async def ListNodes(self, request, context):  # type: ignore[no-untyped-def, override]
        names = context.auth_context()["x509_subject_alternative_name"]
        self.callers += [name.decode() for name in names]
        return admin_pb2.ListNodesResponse(nodes=self.nodes)


class Server:
    """One node's API, on a free port of the loopback."""

    def __init__(self, authority: Authority, member: Member, folder: Path) -> None:
        installed(authority, member, folder / "etc")
        self.identity = NodeIdentity.load(folder / "etc", folder / "state", env={})
        self.echo = Echo()
        self._server = grpc.aio.server(options=list(SERVER_KEEPALIVE_OPTIONS))
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self.echo, self._server)
        port = self._server.add_secure_port("127.0.0.1:0", self.identity.credentials())
        self.address = f"127.0.0.1:{port}"

    async def __aenter__(self) -> "Server":
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
