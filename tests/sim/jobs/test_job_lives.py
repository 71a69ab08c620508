"""Lives of a job: it ends, sums agree, each record is in it once; planted bugs are found."""

from random import Random

import pytest

from coordinator.jobs.facts import Chunk, Copy, Page, Result, Safe, Shape
from coordinator.jobs.ledger import Ledger, disagreements, task_of
from tests.sim.jobs.life import JobLife
from tests.sim.jobs.planted import PLANTED


def test_every_life_ends_with_each_record_once() -> None:
    stewards = 0
    for seed in range(300):
        life = JobLife(seed)
        assert life.run() == [], f"seed {seed}"
        stewards += len(life.stewards)
    assert stewards > 450, "too few stewards died to prove anything"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_thousand_lives_end_with_each_record_once() -> None:
    for seed in range(20_000):
        assert JobLife(seed).run() == [], f"seed {seed}"


@pytest.mark.parametrize("bug", list(PLANTED))
def test_a_planted_bug_of_jobs_is_found(bug: str) -> None:
    assert any(JobLife(seed, PLANTED[bug]).run() for seed in range(400))


def test_the_order_of_facts_changes_nothing() -> None:
    chunk = Chunk(b"c", 9, (Copy("a", "v"), Copy("b", "v")))
    cut = Result("0.0.aa", "w2", 1, (chunk,), 1, {"b.txt": "changed"})
    facts = [
        Page(0, "x", False, (Shape("0.0.aa", 10, 2), Shape("0.1.aa", 5, 0)), 2, 15, 1),
        Page(1, "", True, (Shape("1.0.aa", 7, 1),), 1, 7, 1),
        Page(1, "", True, (Shape("1.0.bb", 8, 1),), 1, 8, 2),
        Result("0.0.aa", "w1", 1, (chunk,), 2),
        cut,
        Safe(cut.id, (chunk,)),
        Result("1.0.aa", "w1", 1, (chunk,), 1),
        Result("1.0.bb", "w1", 1, (chunk,), 1),
    ]
    first = Ledger(facts).totals()
    for seed in range(50):
        shuffled = Random(seed).sample(facts * 2, len(facts) * 2)
        assert Ledger(shuffled).totals() == first
    assert (first.objects_ingested, first.objects_skipped, first.tasks) == (2, 1, 3)


def test_two_results_have_two_names_though_a_new_steward_counts_attempts_anew() -> None:
    """Chunks are salted: the same worker makes another chunk of the same task."""
    first = Result("0.0.aa", "w", 1, (Chunk(b"one", 9, ()),), 1)
    again = Result("0.0.aa", "w", 1, (Chunk(b"two", 9, ()),), 1)
    assert first.id != again.id
    assert task_of(first.id) == "0.0.aa"


def test_sums_that_do_not_agree_are_named() -> None:
    page = Page(0, "", True, (Shape("0.0.aa", 10, 3),), 3, 10, 1)
    chunk = Chunk(b"c", 9, ())
    result = Result("0.0.aa", "w", 1, (chunk,), 2)
    ledger = Ledger([page, result, Safe(result.id, (chunk,))])
    assert ledger.complete
    assert disagreements(ledger) == ["3 objects were listed, 2 ingested and 0 skipped"]


def test_an_object_that_one_of_its_tasks_could_not_read_is_skipped_as_a_whole() -> None:
    page = Page(0, "", True, (Shape("0.0.aa", 10, 1), Shape("0.1.aa", 10, 0)), 1, 20, 1)
    chunk = Chunk(b"c", 9, ())
    results = [
        Result("0.0.aa", "w", 1, (chunk,), 1),
        Result("0.1.aa", "w", 1, (), 0, cut_short={"big": "changed"}),
    ]
    ledger = Ledger([page, *results, *(Safe(each.id, each.chunks) for each in results)])
    assert disagreements(ledger) == []
    assert (ledger.totals().objects_ingested, ledger.totals().objects_skipped) == (0, 1)
