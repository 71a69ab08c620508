"""What the brain gets from its node, and what the node learns from it; in the watch's loop."""

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field

import structlog

from coordinator.actions import Tell
from coordinator.types import Coordinate, Domain, Facts, NodeId
from multicloud.v1 import common_pb2
from multicloud.whois import split
from nodeagent.ops.events import EventLog
from nodeagent.ops.folder import StateFolder
from nodeagent.ops.heartbeat import Heartbeat
from nodeagent.ops.sockdiag import min_rtts_ms

_log = structlog.stdlib.get_logger(__name__)
_LOST = {"node.down", "node.dead", "node.left", "node.gone"}
_LOUD = {"node.down", "node.dead", "node.gone", "node.removed", "cluster.frozen"}


@dataclass(slots=True)
class Body:
    own: common_pb2.NodeFacts  # Changed by the main loop only, as a whole: see `say`.
    folder: StateFolder
    heartbeat: Heartbeat
    address_of: Callable[[NodeId], str]  # Of a peer's watch, from here.
    name_of: Callable[[NodeId], str]
    room: Callable[[], tuple[int, int]]  # Bytes of its volumes: in all, and free for chunks.
    events: EventLog = field(default_factory=EventLog)
    # Who is lost, told so last, and since when by the monotonic clock; read by other threads.
    lost: dict[NodeId, tuple[str, float]] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def say(self, change: Callable[[common_pb2.NodeFacts], None]) -> None:
        """Changes what this node says of itself; the next look of the driver tells it."""
        with self._changing:
            fresh = common_pb2.NodeFacts()
            fresh.CopyFrom(self.own)
            change(fresh)
            fresh.revision += 1
            self.own.CopyFrom(fresh)

    def facts(self) -> Facts:
        with self._changing:
            own = self.own
            more = own.SerializeToString(deterministic=True)
            domain = Domain(own.domain.cloud, own.domain.region, own.domain.zone)
            node, generation, name, draining = own.id, own.generation, own.name, own.draining
        total, free = self.room()
        return Facts(
            node=node,
            generation=generation,
            version=1,
            name=name,
            domain=domain,
            draining=draining,
            bytes_total=total,
            bytes_free=free,
            service_ms=self.heartbeat.lag_s * 1000,
            more=more,
        )

    def saved_coordinate(self) -> Coordinate | None:
        try:
            kept = json.loads((self.folder.path / "coordinate.json").read_text())
            return Coordinate(tuple(kept.pop("position")), **kept)
        except (OSError, ValueError, TypeError, KeyError):
            return None  # It is found anew within minutes.

    def save_coordinate(self, coordinate: Coordinate) -> None:
        draft = self.folder.path / "coordinate.json.new"
        draft.write_text(json.dumps(asdict(coordinate)))
        draft.replace(self.folder.path / "coordinate.json")

    def save_generation(self, generation: int) -> None:
        self.folder.save_generation(generation)
        self.say(lambda own: setattr(own, "generation", generation))
        _log.warning("generation_raised", generation=generation, why="peers remember a higher one")

    def told(self, what: Tell) -> None:
        name = self.name_of(what.node)
        level = _log.warning if what.what in _LOUD else _log.info
        level(what.what.replace(".", "_"), node=name, id=what.node, why=what.why)
        self.events.add(what.what, node=name, id=what.node, why=what.why)
        if what.what in _LOST:
            self.lost[what.node] = what.what, time.monotonic()
        elif what.what == "node.alive":
            self.lost.pop(what.node, None)

    def kernel_rtts_ms(self, nodes: Collection[NodeId]) -> Mapping[NodeId, float]:
        remotes = {}
        for node in nodes:
            remote = _remote(self.address_of(node))
            if remote:
                remotes[remote] = node
        return {remotes[remote]: ms for remote, ms in min_rtts_ms(list(remotes)).items()}


def _remote(address: str) -> tuple[str, int] | None:
    """A numeric address as the kernel lists it; of names the kernel knows nothing."""
    if not address:
        return None
    host, port = split(address)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return None
