"""Connections for data to other nodes, apart from those that carry control calls."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from multicloud.errors import McError
from nodeagent.rpc.peers import Peers


@dataclass(slots=True)
class PeerLinks:
    """One channel for each peer; `peers` is used for nothing else."""

    peers: Peers
    address_of: Callable[[str], str]  # "" when none is known.

    def bulk(self, node_id: str) -> grpc.aio.Channel:
        address = self.address_of(node_id)
        if not address:
            raise McError("NODE_UNKNOWN", f"no address of node {node_id} is known here")
        return self.peers.channel(node_id, address)
