"""The members of a fleet as its sender knows them: each where it says, alive and with room."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.rtt_table import RttTable
from coordinator.types import Domain, Facts, Knowing, Member, NodeId, Record, View
from multicloud import regions

ROOM_BYTES = 1 << 42
DOMAINS = (
    Domain("aws", "us-east-1", "a"),
    Domain("gcp", "us-east4", "a"),
    Domain("azure", "eastus", "1"),
)


@dataclass(frozen=True)
class Known:
    """Made once, as nodes have it: values that are asked for with every chunk."""

    _view: View
    _rtts: RttTable

    @classmethod
    def of(cls, ids: Sequence[NodeId]) -> "Known":
        """The nodes of a fleet, in the order in which they were started."""
        members = {node: _member(node, DOMAINS[at % len(DOMAINS)]) for at, node in enumerate(ids)}
        return cls(View("", members), RttTable(regions.load().rtt_ms))

    def view(self) -> View:
        return self._view

    def rtts(self) -> RttTable:
        return self._rtts


def _member(node: NodeId, domain: Domain) -> Member:
    facts = Facts(node, 1, 1, node, domain, bytes_total=ROOM_BYTES, bytes_free=ROOM_BYTES)
    return Member(Record(node, 1), Knowing.ALIVE, facts, 0.0)
