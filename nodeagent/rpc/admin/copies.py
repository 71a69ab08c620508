"""How many copies there are of everything, by what nodes tell; and what is in the way of more."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.core.upkeep_tally import basis_of

_HERE = (
    common_pb2.NODE_STATE_ALIVE,
    common_pb2.NODE_STATE_SUSPECT,
    common_pb2.NODE_STATE_DRAINING,
)
_AWAY = (
    common_pb2.NODE_STATE_DOWN,
    common_pb2.NODE_STATE_DEAD,
    common_pb2.NODE_STATE_UNREACHABLE,
    common_pb2.NODE_STATE_LEFT,
)
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Copies:
    by_copies: Mapping[int, int]
    debt_chunks: int
    debt_bytes: int
    oldest_s: int
    uncounted: int  # Nobody who is here counts them, and nodes are still counting.
    counting: bool
    hindered: str

    @property
    def safe(self) -> bool:
        missing = self.uncounted or self.by_copies.get(0, 0)
        return not (self.debt_chunks or missing or (self.counting and self.by_copies))


def copies_of(nodes: Sequence[common_pb2.Node], own: str) -> Copies:
    """Figures add up when all have counted by the same members and the same live chunks; until
    then a chunk that nobody counts is no lost one.
    """
    told = {node.facts.id: node.facts.copies for node in nodes if node.state in _HERE}
    mine = told.get(own, common_pb2.CopiesFacts())
    alike = {(facts.basis, facts.live_chunks) for facts in told.values()}
    counting = alike != {(basis_of(told), mine.live_chunks)}
    by_copies: Counter[int] = Counter()
    for facts in told.values():
        by_copies.update(facts.chunks_by_copies)
    counted = sum(by_copies.values())
    counting = counting or counted > mine.live_chunks  # Somebody's figures are from before.
    missing = max(0, mine.live_chunks - counted)
    if missing and not counting:
        by_copies[0] = missing
    every = list(told.values())
    return Copies(
        by_copies,
        sum(facts.debt_chunks for facts in every),
        sum(facts.debt_bytes for facts in every),
        max((facts.debt_oldest_s for facts in every), default=0),
        missing if counting else 0,
        counting,
        next((facts.hindered for facts in every if facts.hindered), ""),
    )


def copies_problems(
    copies: Copies, nodes: Sequence[common_pb2.Node], *, frozen: bool
) -> Iterator[admin_pb2.Problem]:
    away = ", ".join(node.facts.name for node in nodes if node.state in _AWAY)
    if copies.by_copies.get(0):
        yield admin_pb2.Problem(
            code="COPIES_AWAY",
            what=f"no node that is here has a copy of {_chunks(copies.by_copies[0])}",
            next=f"start {away}: one may have a copy"
            if away
            else "`mcctl verify NAME@VERSION` names the chunks; nodes that were removed had them",
        )
    if copies.counting and copies.hindered and not copies.debt_chunks:
        said = f"how many copies there are is not known: {copies.hindered}"
        remedy = "it is tried again by itself; `mcctl doctor` when it goes on"
        yield admin_pb2.Problem(code="COPIES_UNCOUNTED", what=said, next=remedy)
    if copies.debt_chunks:
        what, remedy = _why(copies, away, frozen=frozen)
        amount = f"{_chunks(copies.debt_chunks)} ({copies.debt_bytes / MIB:.0f} MiB)"
        said = f"{amount} short of copies for {copies.oldest_s} s: {what}"
        yield admin_pb2.Problem(code="REPAIR_DEBT", what=said, next=remedy)


def _why(copies: Copies, away: str, *, frozen: bool) -> tuple[str, str]:
    """What is in the way of repair, and what to do about it."""
    if frozen:
        return "nothing is copied while much is lost at once", "mend that first, see above"
    if copies.hindered:
        return copies.hindered, "start nodes again, add room or nodes: `mcctl place --explain`"
    if away:
        wait = "copies are made anew by themselves once whoever is away is gone for good"
        return wait, f"start {away} again if you can; else nothing"
    return "copies are being made", "nothing: it goes on by itself"


def _chunks(count: int) -> str:
    return f"{count} chunk{'' if count == 1 else 's'}"
