"""PeerService: the answering side of a greeting."""

from dataclasses import dataclass

from multicloud.v1 import peer_pb2
from nodeagent.rpc.call import Call
from nodeagent.rpc.exchange import Exchange


@dataclass(slots=True)
class PeerService:
    exchange: Exchange

    async def greet(self, request: peer_pb2.GreetRequest, call: Call) -> peer_pb2.GreetResponse:
        holder = call.caller.holder
        peer = await self.exchange.absorb(request.greeting, holder.identity.name)
        peer.certificate_end_unix_s = holder.not_after_unix_s
        return peer_pb2.GreetResponse(greeting=await self.exchange.compose(peer))
