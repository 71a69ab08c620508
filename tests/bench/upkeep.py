"""What moves in a filled cluster when a node is lost, and when nodes tell other figures."""

from dataclasses import dataclass, replace
from random import Random

from coordinator.electorate import Ask
from coordinator.placement import elect
from coordinator.policy import Policy
from coordinator.types import Knowing, Member
from tests.bench.filling import CHUNK_BYTES, Filled, Placed
from tests.support.worlds import refilled, world

SAMPLES = 200
SHAKE = 0.1


@dataclass(frozen=True)
class Upkeep:
    had: int  # Copies of the lost node that were looked at.
    elected: int
    others_moved: int
    met: float
    shaken_moved: int
    shaken_drawn: float


def keep_up(filled: Filled, seed: int) -> Upkeep:
    """Half of the chunks are there, so that there is room to repair."""
    rng = Random(f"{seed}/upkeep")
    half = replace(filled, placed=filled.placed[: len(filled.placed) // 2])
    used = half.used_bytes()
    members = [refilled(m, _free(m, used[m.id])) for m in filled.cluster.members]
    lost = rng.choice([node for placed in half.placed for node in placed.nodes])
    hit = [placed for placed in half.placed if lost in placed.nodes][:SAMPLES]
    dead = world(replace(m, knowing=Knowing.DEAD) if m.id == lost else m for m in members)
    elections = []
    for placed in hit:
        holders = tuple(node for node in placed.nodes if node != lost)
        elections.append((holders, elect(replace(_ask(placed), holders=holders), dead)))
    shaken = world(refilled(m, int(_free(m) * rng.uniform(1 - SHAKE, 1 + SHAKE))) for m in members)
    before, some = world(members), half.placed[:SAMPLES]
    whole = [elect(replace(_ask(p), holders=p.nodes), shaken).targets for p in some]
    again = [(elect(_ask(p), before).targets, elect(_ask(p), shaken).targets) for p in some]
    drawn = sum(len({s.node for s in b} - {s.node for s in a}) for a, b in again)
    return Upkeep(
        had=len(hit),
        elected=sum(len(e.targets) for _, e in elections),
        others_moved=sum(not set(h) <= {s.node for s in e.sites} for h, e in elections),
        met=sum(e.met for _, e in elections) / max(1, len(elections)),
        shaken_moved=sum(map(len, whole)),
        shaken_drawn=drawn / max(1, 3 * len(some)),
    )


def _free(one: Member, used_bytes: int = 0) -> int:
    assert one.facts
    return one.facts.bytes_free - used_bytes


def _ask(placed: Placed) -> Ask:
    return Ask(Policy(), placed.source, placed.key, CHUNK_BYTES)
