"""Passes a request on to the node that it names, or says that it is for this one."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from multicloud.errors import McError
from nodeagent.rpc.call import Call
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Peer, Roster


@dataclass(slots=True)
class Passing:
    roster: Roster
    peers: Peers

    def target(self, node: str) -> Peer | None:
        """None when the request is for this node."""
        if self.roster.is_own(node):
            return None
        peer = self.roster.find(node)
        if peer is None:
            raise McError("NODE_UNKNOWN", f"no node is called {node!r}")
        return peer

    async def answer(self, request: Any, answer: type[Message], call: Call) -> Any:
        """The named node's answer, or None when this node is meant."""
        peer = self.target(request.node)
        if peer is None:
            return None
        return await self.peers.pass_on(peer, request, answer, call)
