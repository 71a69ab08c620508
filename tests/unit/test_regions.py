"""The list of regions that ships, and what it says about pairs that it does not list."""

from itertools import combinations
from pathlib import Path

import pytest

from coordinator.types import Domain
from multicloud import regions
from multicloud.errors import McError
from multicloud.resources import resource

WORLD = regions.load()
VIRGINIA = Domain("aws", "us-east-1", "a")


def test_every_pair_of_listed_regions_has_a_time() -> None:
    assert len(WORLD.by_name) >= 12
    for a, b in combinations(WORLD.by_name, 2):
        assert frozenset((a, b)) in WORLD.pairs_ms


def test_times_are_the_same_in_both_directions_and_longer_over_an_ocean() -> None:
    europe, iowa = Domain("azure", "westeurope", "1"), Domain("gcp", "us-central1", "a")
    assert WORLD.rtt_ms(VIRGINIA, europe) == WORLD.rtt_ms(europe, VIRGINIA)
    assert WORLD.rtt_ms(VIRGINIA, europe) > WORLD.rtt_ms(VIRGINIA, iowa) > 10


def test_what_is_not_listed_is_estimated_by_its_relation() -> None:
    assert WORLD.rtt_ms(VIRGINIA, VIRGINIA) < WORLD.rtt_ms(
        VIRGINIA, Domain("aws", "us-east-1", "b")
    )
    assert WORLD.rtt_ms(VIRGINIA, Domain("home", "cellar")) == WORLD.otherwise.unknown_ms
    no_zone = Domain("home", "cellar")
    assert WORLD.rtt_ms(no_zone, no_zone) == WORLD.otherwise.same_region_ms


def test_a_gigabyte_costs_nothing_at_home_and_most_to_another_cloud() -> None:
    prices = [
        WORLD.egress_usd_per_gb(VIRGINIA, to)
        for to in (VIRGINIA, Domain("aws", "eu-west-1", "a"), Domain("gcp", "us-central1", "a"))
    ]
    assert prices[0] == 0
    assert prices == sorted(prices)
    assert WORLD.egress_usd_per_gb(Domain("home", "x"), VIRGINIA) > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"aws/us-west-2" = 64', '"aws/us-west-9" = 64'),
        ('"aws/us-west-2" = 64', '"aws/us-west-2" = 0'),
        ('"aws/us-west-2" = 64', '"aws/us-west-2" = "soon"'),
        ("[otherwise]", "[elsewhere]"),
        ("prices_of", "= ="),
    ],
)
def test_a_wrong_list_is_refused_with_its_name(old: str, new: str, tmp_path: Path) -> None:
    text = resource("config/regions.toml").read_text()
    assert old in text
    wrong = tmp_path / "regions.toml"
    wrong.write_text(text.replace(old, new, 1))
    with pytest.raises(McError, match=str(wrong)) as caught:
        regions.load(wrong)
    assert caught.value.reason == "CONFIG_INVALID"
