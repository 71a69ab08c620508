"""The council as people see it, by `mcctl status` and `check`, with what to do when it is lost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from coordinator.council.registers import Seat
from coordinator.types import Knowing, NodeId, View
from multicloud.v1 import admin_pb2
from nodeagent.council.part import CouncilPart
from nodeagent.rpc.checks import ERROR, OK, WARNING, finding

_WHY = {
    None: "it is not known here",
    Knowing.UNREACHABLE: "it is not heard here",
    Knowing.DOWN: "it is not running",
    Knowing.DEAD: "it is dead",
    Knowing.LEFT: "it was stopped",
    Knowing.REMOVED: "it was removed",
}
_READS = "reading, listing and storing go on; names, outcomes and removals wait"


@dataclass(frozen=True, slots=True)
class Shown:
    part: CouncilPart

    def seated(self) -> Collection[NodeId]:
        return {seat.node for seat in self.part.copy.epoch.members}

    def status(self) -> admin_pb2.CouncilStatus:
        part, view = self.part, self.part.world.view()
        epoch = part.copy.epoch
        seats = [
            admin_pb2.CouncilSeat(
                node=part.world.name_of(seat.node),
                id=seat.node,
                volume=seat.volume,
                there=not (why := self._why_away(view, seat)),
                why=why,
            )
            for seat in epoch.members
        ]
        return admin_pb2.CouncilStatus(
            epoch=epoch.number,
            members=sorted(seats, key=lambda seat: seat.node),
            majority=bool(epoch.number) and sum(s.there for s in seats) >= epoch.majority,
            registers=len(part.copy.list()),
        )

    def _why_away(self, view: View, seat: Seat) -> str:
        member = view.members.get(seat.node)
        knowing = member.knowing if member else None
        if knowing not in (Knowing.ALIVE, Knowing.SUSPECT):
            return _WHY[knowing]
        if self.part.volume_of(seat.node) != seat.volume:
            return "it has lost its memory, or cannot use it"
        return ""

    def problems(self) -> Sequence[admin_pb2.Problem]:
        """For the one screen: only what a person must do something about."""
        found = self.status()
        away = [seat for seat in found.members if not seat.there]
        if not found.epoch or found.majority:
            return []
        who = "; ".join(f"{seat.node}: {seat.why}" for seat in away)
        names = ", ".join(seat.node for seat in away)
        return [
            admin_pb2.Problem(
                code="COUNCIL_LOST",
                what=f"{len(away)} of the council's {len(found.members)} members are away ({who}), "
                f"so nothing is decided here: {_READS}",
                next=f"start nodeagentd on {names}, or mend the network between",
            )
        ]

    def findings(self, name: str) -> Sequence[admin_pb2.Finding]:
        """For `mcctl check`, of one node."""
        closed = self.part.member.trouble
        first = []
        if closed:
            code = "COUNCIL_DAMAGED" if closed.reason == "DAMAGE" else "COUNCIL_CLOSED"
            first = [finding(code, name, ERROR, closed.message, closed.next)]
        found = self.status()
        if not found.epoch:
            what = "no council is known here: nothing can be decided"
            remedy = "start the node that was issued first, and let join.peers lead to the others"
            return [*first, finding("COUNCIL_UNKNOWN", name, WARNING, what, remedy)]
        lost = [finding(p.code, name, ERROR, p.what, p.next) for p in self.problems()]
        there = sum(seat.there for seat in found.members)
        well = f"epoch {found.epoch}, {there} of {len(found.members)} members are there"
        return [*first, *(lost or [finding("COUNCIL_OK", name, OK, well)])]
