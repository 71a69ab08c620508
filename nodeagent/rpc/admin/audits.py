"""The audit log of a node, as it is on its disk, and the heads of others' logs that it keeps."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc

from multicloud.status import decode
from multicloud.v1 import admin_pb2, peer_pb2
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call


class Log(Protocol):
    def read(self, after_sequence: int) -> AsyncIterator[list[str]]: ...
    async def heads(self) -> Sequence[peer_pb2.AuditHead]: ...


@dataclass(slots=True)
class AuditAdmin:
    passing: Passing
    log: Log

    async def read_audit(
        self, request: admin_pb2.ReadAuditRequest, call: Call
    ) -> AsyncIterator[admin_pb2.ReadAuditResponse]:
        peer = self.passing.target(request.node)
        if peer is not None:
            answers = self.passing.peers.pass_on_stream(
                peer, request, admin_pb2.ReadAuditResponse, call
            )
            try:
                async for answer in answers:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise decode(error, peer.name) from error
            return
        async for lines in self.log.read(request.after_sequence):
            yield admin_pb2.ReadAuditResponse(lines=lines)

    async def list_audit_heads(
        self, request: admin_pb2.ListAuditHeadsRequest, call: Call
    ) -> admin_pb2.ListAuditHeadsResponse:
        passed = await self.passing.answer(request, admin_pb2.ListAuditHeadsResponse, call)
        return passed or admin_pb2.ListAuditHeadsResponse(heads=await self.log.heads())
