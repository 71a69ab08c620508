"""A founder that lost its disk opens no second council, whoever it reaches or does not."""

import pytest

from multicloud.errors import McError
from nodeagent.council.founding import WITHIN_S, Founding

ISSUED_UNIX_S = 1_800_000_000.0


def founding(
    *, founder: bool = True, age_s: float = 60.0, expects_others: bool = False
) -> Founding:
    now_unix_s = ISSUED_UNIX_S + age_s
    return Founding(founder, ISSUED_UNIX_S, lambda: expects_others, lambda: now_unix_s)


def may(one: Founding, *, heard: bool = False, waited_s: float = 5.0) -> bool:
    return one.may(heard_anyone=heard, waited_s=waited_s, found_after_s=5.0)


def test_the_first_node_of_a_cluster_opens_the_council_alone_or_with_others() -> None:
    assert may(founding())
    assert not may(founding(), waited_s=4.9)
    assert may(founding(expects_others=True), heard=True, waited_s=0.0)
    assert not may(founding(founder=False), heard=True)


def test_whoever_expects_others_waits_for_one_of_them_however_long() -> None:
    alone = founding(expects_others=True)
    assert not may(alone, waited_s=1.0)
    with pytest.raises(McError, match=r"one of the other nodes in join\.peers"):
        may(alone, waited_s=3600.0)


@pytest.mark.parametrize("heard", [True, False])
def test_a_founder_that_was_issued_long_ago_has_lost_what_it_knew(heard: bool) -> None:
    with pytest.raises(McError, match="has lost what it knew"):
        may(founding(age_s=WITHIN_S + 1), heard=heard, waited_s=3600.0)
