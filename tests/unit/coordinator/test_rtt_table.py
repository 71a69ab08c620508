"""The table of pairs that all nodes' measurements make, and what it says where nobody measured."""

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.rtt_table import ERROR_USABLE_MAX, PLACES_MAX, Rtt, RttTable
from coordinator.types import Coordinate, Domain, Facts
from coordinator.vivaldi import estimate_ms

TYPICAL_MS = 104.0
VIRGINIA_A = Domain("aws", "us-east-1", "a")
VIRGINIA_B = Domain("aws", "us-east-1", "b")
IOWA = Domain("gcp", "us-central1", "a")
TOKYO = Domain("azure", "japaneast")
PLACES = (VIRGINIA_A, VIRGINIA_B, IOWA, TOKYO)


def typical(a: Domain, b: Domain) -> float:
    if a.place == b.place:
        return 0.8
    return TYPICAL_MS if a < b else math.nan  # Asked in one order only, so directions agree.


def facts(node: str, domain: Domain, version: int = 1, **rtts_ms: float) -> Facts:
    told = {key.replace("_", "/", 1).replace("_", "-"): ms for key, ms in rtts_ms.items()}
    return Facts(node, 1, version, node, domain, rtts_ms=told)


def standing(node: str, domain: Domain, at_ms: float, error: float = 0.1) -> Facts:
    place = Coordinate((at_ms, *(0.0,) * 7), 1.0, error)
    return Facts(node, 1, 1, node, domain, coordinate=place)


EMPTY = RttTable(typical)


def test_the_least_of_all_nodes_of_both_places_counts_in_either_direction() -> None:
    told = [
        facts("v1", VIRGINIA_A, gcp_us_central1=33.0),
        facts("v2", VIRGINIA_B, gcp_us_central1=31.0),
        facts("i1", IOWA, aws_us_east_1=32.0, azure_japaneast=140.0),
    ]
    table = EMPTY.merged(told, 100)
    assert table.rtt(VIRGINIA_A, IOWA, 130) == Rtt(31.0, "measured", 30, 3)
    assert table.rtt(IOWA, VIRGINIA_B, 130) == Rtt(31.0, "measured", 30, 3)
    assert table.rtt(TOKYO, IOWA, 130) == Rtt(140.0, "measured", 30, 1)
    assert table.ms(TOKYO, VIRGINIA_A) == TYPICAL_MS


def test_inside_a_region_zones_are_kept_apart() -> None:
    told = [
        Facts("v1", 1, 1, "v1", VIRGINIA_A, rtts_ms={"aws/us-east-1/a": 0.1}),
        Facts("v2", 1, 1, "v2", VIRGINIA_B, rtts_ms={"aws/us-east-1/a": 1.5}),
    ]
    table = EMPTY.merged(told, 0)
    assert table.rtt(VIRGINIA_A, VIRGINIA_A, 0) == Rtt(0.1, "measured", 0, 1)
    assert table.rtt(VIRGINIA_A, VIRGINIA_B, 0) == Rtt(1.5, "measured", 0, 1)
    assert table.rtt(VIRGINIA_B, VIRGINIA_B, 0) == Rtt(0.8, "estimated")


def test_a_member_that_is_gone_takes_its_measurements_with_it() -> None:
    first, second = facts("v1", VIRGINIA_A, gcp_us_central1=30.0), facts("i1", IOWA)
    table = EMPTY.merged([first, second], 0)
    assert table.ms(IOWA, VIRGINIA_A) == 30
    assert table.merged([second], 1).rtt(IOWA, VIRGINIA_A, 1).source == "estimated"


def test_a_cell_grows_old_until_its_node_speaks_again() -> None:
    said = facts("v1", VIRGINIA_A, 1, gcp_us_central1=30.0)
    table = EMPTY.merged([said], 10).merged([said], 50)
    assert table.rtt(IOWA, VIRGINIA_A, 60).age_s == 50
    again = facts("v1", VIRGINIA_A, 2, gcp_us_central1=30.0)
    assert table.merged([again], 60).rtt(IOWA, VIRGINIA_A, 61).age_s == 1


def test_an_older_version_of_facts_replaces_no_newer_one() -> None:
    newer, older = (facts("v1", VIRGINIA_A, v, gcp_us_central1=v * 10.0) for v in (3, 2))
    assert EMPTY.merged([newer], 0).merged([older], 1).ms(IOWA, VIRGINIA_A) == 30
    assert EMPTY.merged([newer, older], 0).ms(IOWA, VIRGINIA_A) == 30
    assert EMPTY.merged([older, newer], 0).ms(IOWA, VIRGINIA_A) == 30


def test_coordinates_fill_what_nobody_measured_if_they_are_sure_of_themselves() -> None:
    iowa, tokyo = standing("i1", IOWA, 0), standing("t1", TOKYO, 120)
    table = EMPTY.merged([iowa, tokyo], 0)
    assert table.rtt(IOWA, TOKYO, 0) == Rtt(122.0, "estimated")
    unsure = standing("t1", TOKYO, 120, ERROR_USABLE_MAX + 0.01)
    assert EMPTY.merged([iowa, unsure], 0).ms(IOWA, TOKYO) == TYPICAL_MS
    two = EMPTY.merged([iowa, unsure, standing("t2", TOKYO, 130)], 0)
    assert two.ms(IOWA, TOKYO) == 132.0


def test_of_two_that_are_equally_sure_the_order_does_not_choose() -> None:
    tokyo = standing("t1", TOKYO, 120)
    two = [standing("i1", IOWA, 0), standing("i2", IOWA, 50)]
    first, second = (EMPTY.merged([*some, tokyo], 0) for some in (two, two[::-1]))
    assert first.ms(IOWA, TOKYO) == second.ms(IOWA, TOKYO)


def test_inside_a_place_the_typical_figure_goes_before_a_coordinate() -> None:
    two = [standing("v1", VIRGINIA_A, 0), standing("v2", VIRGINIA_B, 5)]
    assert EMPTY.merged(two, 0).rtt(VIRGINIA_A, VIRGINIA_B, 0) == Rtt(0.8, "estimated")


@given(st.sampled_from([0.0, -5.0, math.nan, math.inf, 10_001.0]))
def test_an_impossible_figure_is_no_measurement(ms: float) -> None:
    table = EMPTY.merged([facts("v1", VIRGINIA_A, gcp_us_central1=ms)], 0)
    assert table.rtt(VIRGINIA_A, IOWA, 0) == Rtt(TYPICAL_MS, "estimated")


def test_who_tells_of_too_many_places_is_not_believed() -> None:
    many = {f"x/{number}": 1.0 for number in range(PLACES_MAX)} | {IOWA.place: 1.0}
    table = EMPTY.merged([Facts("v1", 1, 1, "v1", VIRGINIA_A, rtts_ms=many)], 0)
    assert table.ms(VIRGINIA_A, IOWA) == TYPICAL_MS


coordinates = st.builds(
    lambda x, h, e: Coordinate((x, *(0.0,) * 7), h, e),
    st.floats(-500, 500),
    st.floats(0, 50),
    st.floats(0, 1.5),
)
all_facts = st.lists(
    st.builds(
        lambda node, version, domain, rtts_ms, at: Facts(
            f"n{node}", 1, version, "", domain, rtts_ms=rtts_ms, coordinate=at
        ),
        st.integers(0, 6),
        st.integers(1, 3),
        st.sampled_from(PLACES),
        st.dictionaries(
            st.sampled_from(sorted({d.place for d in PLACES} | {str(d) for d in PLACES})),
            st.floats(0.1, 500),
        ),
        st.none() | coordinates,
    ),
    max_size=12,
    unique_by=lambda one: (one.node, one.version),
)


def cells(table: RttTable, now_s: float) -> dict[tuple[Domain, Domain], Rtt]:
    return {(a, b): table.rtt(a, b, now_s) for a in PLACES for b in PLACES}


@given(all_facts, st.integers(0, 2**16))
def test_the_order_of_members_decides_nothing(told: list[Facts], seed: int) -> None:
    shuffled = list(told)
    Random(seed).shuffle(shuffled)
    assert cells(EMPTY.merged(told, 5), 9) == cells(EMPTY.merged(shuffled, 5), 9)


@given(all_facts)
def test_merging_again_changes_nothing_and_directions_agree(told: list[Facts]) -> None:
    table = EMPTY.merged(told, 5)
    once = cells(table, 9)
    assert table.merged(told, 8) is table
    assert all(once[a, b] == once[b, a] for a, b in once)


@given(all_facts)
def test_every_cell_is_some_newest_claim_or_an_estimate(told: list[Facts]) -> None:
    newest = {f.node: f for f in sorted(told, key=lambda f: f.version)}.values()
    claimed = {ms for f in newest for ms in f.rtts_ms.values()}
    standing = [f.coordinate for f in newest if f.coordinate]
    estimated = {estimate_ms(a, b) for a in standing for b in standing} | {0.8, TYPICAL_MS}
    for cell in cells(EMPTY.merged(told, 5), 9).values():
        assert cell.ms in (claimed if cell.source == "measured" else estimated)
