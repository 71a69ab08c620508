"""What limits a job is named with the figures that say so."""

import pytest

from coordinator.jobs.bottleneck import Link, degraded, limit_of

NEAR = Link("aws-a", "aws-b", 900, 10.0, 0.5)
FAR = Link("aws-a", "gcp-a", 100, 10.0, 8.0)


@pytest.mark.parametrize("stage", ["ingest", "process", "seal", "send"])
def test_it_is_the_stage_at_which_tasks_stand_longest(stage: str) -> None:
    seconds = {"ingest": 1.0, "process": 1.0, "seal": 1.0, "send": 1.0} | {stage: 7.0}
    limit = limit_of(seconds, [NEAR])
    assert limit
    assert (limit.stage, limit.share, limit.link) == (stage, 0.7, None)
    assert "70%" in limit.sentence


def test_when_it_is_sending_the_link_that_waits_most_is_named() -> None:
    limit = limit_of({"ingest": 1.0, "send": 9.0}, [NEAR, FAR])
    assert limit
    assert limit.link == FAR
    assert "aws-a → gcp-a limits it" in limit.sentence
    assert "80%" in limit.sentence


def test_a_link_is_not_blamed_for_a_slow_source() -> None:
    limit = limit_of({"ingest": 9.0, "send": 1.0}, [FAR])
    assert limit
    assert limit.link is None


def test_where_nothing_ran_nothing_limits() -> None:
    assert limit_of({}, [FAR]) is None
    assert limit_of({"ingest": 0.0}, []) is None


def test_degraded_links_are_those_that_mostly_wait_the_worst_first() -> None:
    worse = Link("a", "b", 1, 20.0, 15.0)
    assert degraded([NEAR, FAR, worse, Link("c", "d", 0, 0.0, 0.0)]) == [worse, FAR]
