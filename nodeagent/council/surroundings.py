"""The node around its part of the council: whom it sees, how others are reached, what it says."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from coordinator.types import NodeId, View
from multicloud.errors import McError
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Roster


@dataclass(frozen=True, slots=True)
class Surroundings:
    roster: Roster
    peers: Peers
    view: Callable[[], View]
    address_of: Callable[[NodeId], str]
    name_of: Callable[[NodeId], str]
    greet_all: Callable[[], None]
    say_volume: Callable[[str], None]

    def council_volume_of(self, node: NodeId) -> str:
        peer = self.roster.peers.get(node)
        return peer.facts.council_volume if peer and peer.facts else ""

    def channel_to(self, node: NodeId) -> grpc.aio.Channel:
        address = self.address_of(node)
        if not address:
            raise McError("UNREACHABLE", f"no address of {self.name_of(node)} is known here")
        return self.peers.channel(node, address)

    def explain_call(self, error: grpc.aio.AioRpcError, node: NodeId) -> McError:
        return self.peers.explain(error, self.address_of(node))
