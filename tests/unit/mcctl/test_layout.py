"""Where the nodes of a dev cluster stand, and what A and B mean."""

import pytest

from mcctl.dev.layout import NODES_MAX, find, plan
from multicloud import regions
from multicloud.errors import McError


def test_six_nodes_in_three_clouds_two_zones_each() -> None:
    places = plan(6, 3)
    assert [p.name for p in places] == ["aws-a", "aws-b", "gcp-a", "gcp-b", "azure-a", "azure-b"]
    for first, second in zip(places[::2], places[1::2], strict=True):
        assert (first.cloud, first.region) == (second.cloud, second.region)
        assert first.zone != second.zone


@pytest.mark.parametrize("clouds", [1, 2, 3])
@pytest.mark.parametrize("nodes", [1, 2, 5, 7, NODES_MAX])
def test_every_size_has_distinct_nodes_in_known_regions(nodes: int, clouds: int) -> None:
    places = plan(nodes, clouds)
    world = regions.load()
    assert len({p.name for p in places}) == len(places) == nodes
    assert len({(p.cloud, p.region, p.zone) for p in places}) == nodes
    assert all(f"{p.cloud}/{p.region}" in world.by_name for p in places)


@pytest.mark.parametrize(("nodes", "clouds"), [(0, 3), (NODES_MAX + 1, 3), (6, 0), (6, 4)])
def test_a_size_out_of_range_is_a_usage_error(nodes: int, clouds: int) -> None:
    with pytest.raises(McError) as caught:
        plan(nodes, clouds)
    assert caught.value.row.exit == 2


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("gcp-b", ["gcp-b"]),
        ("us-east-1", ["aws-a", "aws-b"]),
        ("azure/westeurope", ["azure-a", "azure-b"]),
        ("gcp", ["gcp-a", "gcp-b"]),
    ],
)
def test_a_word_means_a_node_a_region_or_a_cloud(word: str, names: list[str]) -> None:
    assert [p.name for p in find(plan(6, 3), word)] == names


def test_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(McError, match="did you mean azure") as caught:
        find(plan(6, 3), "azur")
    assert caught.value.reason == "NODE_UNKNOWN"
