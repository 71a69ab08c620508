"""The evaluation of placement: the goals are met on a small cluster, and could be missed."""

import pytest

from coordinator.placement_settings import PlacementSettings
from coordinator.policy import Level
from tests.bench import placement
from tests.bench.filling import Filled, fill, make, possible_use
from tests.bench.plain import elected

UNEVEN = 4  # A seed whose disks leave little choice.


@pytest.fixture(scope="module")
def ours() -> Filled:
    return fill(make(6, UNEVEN), UNEVEN)


def test_unequal_disks_are_used_nearly_to_what_the_rules_allow(ours: Filled) -> None:
    possible = possible_use(ours.cluster)
    assert ours.use >= placement.USE_GOAL * possible
    assert fill(ours.cluster, UNEVEN, elected).use < ours.use
    by_price_alone = fill(ours.cluster, UNEVEN, settings=PlacementSettings(full_weight=0.0))
    assert by_price_alone.use < placement.USE_GOAL * possible, "the goal can be missed"


def test_no_zone_region_cloud_or_pair_of_nodes_holds_all_copies(ours: Filled) -> None:
    assert len(ours.placed) > 100
    assert [ours.lost_with(level) for level in Level] == [0, 0, 0, 0]


def test_the_tree_is_no_dearer_than_a_star_and_crosses_each_border_once(ours: Filled) -> None:
    assert all(p.tree_usd <= p.star_usd + 1e-9 for p in ours.placed)
    assert all(p.tree_crossings == p.remote_clouds for p in ours.placed)


def test_the_page_has_every_table() -> None:
    result = placement.evaluate(6, seed=1)
    assert result.upkeep.others_moved == result.upkeep.shaken_moved == 0
    assert result.upkeep.elected == result.upkeep.had
    text = placement.page([result], "command")
    assert text.count("\n| --- |") == 5
