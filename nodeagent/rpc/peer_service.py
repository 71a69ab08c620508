"""PeerService: the answering side of a greeting."""

from dataclasses import dataclass

from multicloud.v1 import peer_pb2
from nodeagent.rpc.call import Call
from nodeagent.rpc.exchange import Exchange


@dataclass(slots=True)
class PeerService:
    exchange: Exchange

    async def greet(self, request: peer_pb2.GreetRequest, call: Call) -> peer_pb2.GreetResponse:
        sender = call.caller.holder.identity.name
        peer = await self.exchange.absorb(request.greeting, sender)
        return peer_pb2.GreetResponse(greeting=await self.exchange.compose(peer))
