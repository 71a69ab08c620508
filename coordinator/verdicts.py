"""Why every candidate of an election was chosen or not, in plain words, and how near it came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.electorate import Seat
from coordinator.placement import Election
from coordinator.plan_maker import Plan
from coordinator.policy import Level
from coordinator.types import Domain, NodeId


@dataclass(frozen=True, slots=True)
class Candidate:
    """`score` is 1 where a plan with it is the cheapest of all, and less the dearer its best is."""

    node: NodeId
    name: str
    domain: Domain | None
    eligible: bool
    reason: str
    score: float


def candidates(election: Election) -> tuple[Candidate, ...]:
    """Targets, then spares in their order, then the others, then who may not be chosen."""
    found = [*_Verdicts(election).of_seats(), *_barred(election)]
    order = {seat.node: i for i, seat in enumerate((*election.targets, *election.spares))}
    return tuple(sorted(found, key=lambda c: (order.get(c.node, len(order)), not c.eligible)))


def _barred(election: Election) -> Iterator[Candidate]:
    for barred in election.board.barred:
        yield Candidate(barred.node, barred.name, barred.domain, False, barred.why, 0.0)


class _Verdicts:
    def __init__(self, election: Election) -> None:
        self.election = election
        self.best: dict[str, Plan] = {}  # The cheapest plan with a zone; plans are sorted.
        for plan in election.board.plans:
            for zone in plan.zones:
                self.best.setdefault(zone.key, plan)
        self.kept = {zone.key for plan in election.board.kept for zone in plan.zones}

    def of_seats(self) -> Iterator[Candidate]:
        for seat in self.election.board.seats:
            reason, score = self._reason(seat), self._score(seat)
            yield Candidate(seat.node, seat.name, seat.site.domain, True, reason, score)

    def _score(self, seat: Seat) -> float:
        plan = self.best.get(seat.site.at(Level.ZONE))
        return self.election.board.plans[0].cost / plan.cost if plan else 0.0

    def _reason(self, seat: Seat) -> str:
        election, key = self.election, seat.site.at(Level.ZONE)
        if seat in election.targets:
            place = [t.site.at(Level.ZONE) for t in election.targets].index(key)
            assert election.plan is not None
            return f"chosen for {election.plan.zones[place].label}"
        spare = election.spares.index(seat) + 1 if seat in election.spares else 0
        first = f"spare {spare}: " if spare else ""
        return first + self._why_not(seat, key)

    def _why_not(self, seat: Seat, key: str) -> str:
        election = self.election
        plan, board = election.plan, election.board
        if plan is None:
            return "no copy is missing" if not election.why else "what was sent there filled it"
        rival = next((t for t in election.targets if t.site.at(Level.ZONE) == key), None)
        if rival is not None:
            return f"{rival.name} of the same zone drew the chunk, or is less loaded"
        if key in self.kept:
            drawn = " + ".join(zone.label for zone in plan.zones)
            return f"a plan with it is as good; this chunk drew {drawn}"
        best = self.best.get(key)
        if best is not None:
            return _dearer(best, board.kept, election.ask.policy.near)
        if key in board.tried:
            return "no plan with its zone meets the rules of the policy"
        return f"{len(board.tried)} other zones promised more and were tried first"


def _dearer(plan: Plan, kept: Sequence[Plan], near: str) -> str:
    if near and plan.cost <= max(other.cost for other in kept):
        return f"no plan with it brings a copy as near to {near}"
    best = kept[0]
    parts = [
        _compared(plan.usd_per_gb, best.usd_per_gb, "${:.4g}/GB"),
        _compared(plan.seconds, best.seconds, "{:.2g} s"),
        _compared(_fill(plan), _fill(best), "{:.0%} full"),
    ]
    return "the best plan with it costs more: " + ", ".join(part for part in parts if part)


def _fill(plan: Plan) -> float:
    return max(zone.fill for zone in plan.zones)


def _compared(here: float, there: float, form: str) -> str:
    if here <= there * 1.001 + 1e-9:
        return ""
    return f"{form.format(here)} against {form.format(there)}"
