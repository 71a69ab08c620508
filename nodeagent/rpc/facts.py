"""What this node says of itself, and where others are reached from here."""

from collections.abc import Sequence

from multicloud import __version__
from multicloud.v1 import common_pb2
from nodeagent.config.model import Config
from nodeagent.rpc.roster import Peer

FORMAT_LEVEL_MAX = 1
_ANYWHERE = {"0.0.0.0", "[::]"}  # noqa: S104 - compared with, not listened on
WATCH_PORT = "7444"


def own_facts(
    config: Config, generation: int, certificate_end_unix_s: int, *, draining: bool = False
) -> common_pb2.NodeFacts:
    node = config.node
    return common_pb2.NodeFacts(
        id=node.id,
        name=node.name,
        domain=common_pb2.Domain(cloud=node.cloud, region=node.region, zone=node.zone),
        endpoints=_endpoints(config),
        version=__version__,
        format_level_max=FORMAT_LEVEL_MAX,
        generation=generation,
        revision=1,
        draining=draining,
        certificate_end_unix_s=certificate_end_unix_s,
    )


def _endpoints(config: Config) -> list[common_pb2.Endpoint]:
    advertised = [
        common_pb2.Endpoint(network=a.network, api=a.api, watch=a.watch or _watch_beside(a.api))
        for a in config.advertise
    ]
    if advertised or config.listen.api.rpartition(":")[0] in _ANYWHERE:
        return advertised
    listen = config.listen
    return [common_pb2.Endpoint(network="listen", api=listen.api, watch=listen.watch)]


def _watch_beside(api: str) -> str:
    return f"{api.rpartition(':')[0]}:{WATCH_PORT}"


def address_of(config: Config, own: common_pb2.NodeFacts, peer: Peer) -> str:
    """Where the peer's API is reached from here; "" when no address is known."""
    link = config.dev.peers.get(peer.id)
    if link:
        return link.api
    if peer.address:
        return peer.address
    found = best_endpoint(own.endpoints, peer.facts.endpoints) if peer.facts else None
    return found.api if found else ""


def watch_address_of(config: Config, own: common_pb2.NodeFacts, peer: Peer | None) -> str:
    """Where the peer's watch is reached from here; "" when no address is known."""
    if peer is None:
        return ""
    link = config.dev.peers.get(peer.id)
    if link:
        return link.watch
    found = best_endpoint(own.endpoints, peer.facts.endpoints) if peer.facts else None
    return found.watch if found else ""


def best_endpoint(
    own: Sequence[common_pb2.Endpoint], theirs: Sequence[common_pb2.Endpoint]
) -> common_pb2.Endpoint | None:
    """The first on a network that both are on, else the first."""
    networks = {e.network for e in own}
    shared = [e for e in theirs if e.network in networks]
    return next(iter([*shared, *theirs]), None)
