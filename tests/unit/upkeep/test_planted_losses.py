"""The model of copies can fail: each planted bug of trash, trimming and inspection is found."""

from collections.abc import Callable
from dataclasses import fields
from random import Random

import pytest

from coordinator.policy import Site
from coordinator.types import NodeId
from nodeagent.store.contract import Pin
from nodeagent.store.memory import MemoryStore
from nodeagent.upkeep.surplus import Surplus
from tests.unit.upkeep.test_never_loses_copies import IDS, NODES, Copies
from tests.unit.upkeep.village import Node

LIVES_MAX, STEPS = 400, 40


def life(seed: int, plant: Callable[[Node], None]) -> None:
    """One run of the model by dice alone: what hypothesis draws changes with every version."""
    rng = Random(seed)
    world = Copies()
    try:
        for node in world.nodes:
            plant(node)
        for _ in range(STEPS):
            step(world, rng)
            world.what_was_safe_has_its_copies_on_disk()
            world.what_a_job_holds_is_among_the_living()
    finally:
        world.teardown()


def step(world: Copies, rng: Random) -> None:
    which, number, dice = rng.randrange(len(IDS)), rng.randrange(NODES), rng.randrange(2**32)
    acts: list[Callable[[], None]] = [
        lambda: world.a_job_stores_it_on_three_nodes(which, number),
        lambda: world.a_job_uses_it_again_where_it_is(which),
        lambda: world.its_jobs_end_well(which),
        lambda: world.its_jobs_fail(which),
        lambda: world.its_version_is_removed(which),
        lambda: world.all_trim_at_once_while_a_job_uses_it_again(dice, which),
        lambda: world.all_collect_at_once_while_a_job_uses_it_again(dice, which),
        lambda: world.all_collect_at_once_while_its_job_ends_well(dice, which),
        lambda: world.all_inspect_and_trim_at_once(dice),
        lambda: world.time_goes_by(rng.choice((3600.0, 2 * 86400.0))),
        lambda: world.a_disk_loses_a_copy(number, which),
        world.after_inspection_and_repair_all_that_is_named_lives,
    ]
    rng.choice(acts)()


def instead(node: Node, kind: type[Surplus]) -> None:
    """The same part with a bug."""
    right = node.upkeep.surplus
    wrong = kind(**{one.name: getattr(right, one.name) for one in fields(right)})
    node.upkeep.surplus = wrong
    node.upkeep.inspector.kept_elsewhere = wrong.kept_elsewhere


def trims_by_no_rank_and_without_promises(node: Node) -> None:
    """Either alone is enough."""

    async def promised(_node: NodeId, ids: list[bytes], _keep_s: float) -> list[bytes]:
        return ids

    node.promise = promised

    class Anyone(Surplus):
        def _better(self, chunk_id: bytes) -> list[Site]:
            return list(node.others())

    instead(node, Anyone)


def trims_without_being_sure_of_the_others(node: Node) -> None:
    class Sure(Surplus):
        async def _who_has(self, ids: list[bytes]) -> dict[bytes, set[NodeId]]:
            return {one: {site.node for site in node.others()} for one in ids}

        async def _proven(self, *_: object, **__: object) -> bool:
            return True

    instead(node, Sure)


def inspects_by_what_was_known_before(node: Node) -> None:
    roots = node.village.roots

    class Stale:
        async def names(self, ids: list[bytes]) -> tuple[dict[bytes, bool], float]:
            return dict.fromkeys(ids, False), roots.clock()

    node.upkeep.inspector.witness = Stale()


def trusts_that_surplus_stays_surplus(node: Node) -> None:
    async def kept(_held: object) -> bool:
        return True

    node.upkeep.inspector.kept_elsewhere = kept


def forgets_pins(node: Node) -> None:
    store = node.store

    class Forgetful(MemoryStore):
        async def pins(self, chunk_id: bytes) -> list[Pin]:
            return []

    store.__class__ = Forgetful


BUGS = (
    trims_by_no_rank_and_without_promises,
    trims_without_being_sure_of_the_others,
    inspects_by_what_was_known_before,
    trusts_that_surplus_stays_surplus,
    forgets_pins,
)


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(plant: Callable[[Node], None]) -> None:
    with pytest.raises(AssertionError):
        for seed in range(LIVES_MAX):
            life(seed, plant)


LIVES = [pytest.param(40, id="few"), pytest.param(1000, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("lives", LIVES)
def test_without_a_bug_the_same_lives_end_well(lives: int) -> None:
    for seed in range(lives):
        life(seed, lambda _: None)
