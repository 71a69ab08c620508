"""The cheapest transfer tree, against trying everything in another way."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.tree import Distances, cheapest, shapes

money = st.integers(0, 20).map(lambda cents: cents / 100)


def test_there_are_as_many_trees_as_cayley_counted() -> None:
    assert [len(shapes(n)) for n in range(5)] == [1, 1, 3, 16, 125]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(money, min_size=(n + 1) ** 2, max_size=25)))
def test_no_order_of_joining_makes_a_cheaper_tree(prices: list[float]) -> None:
    side = int(len(prices) ** 0.5)
    usd = [prices[i * side : (i + 1) * side] for i in range(side)]
    ms = [[1.0] * side for _ in range(side)]
    found = cheapest(Distances(usd, ms, ["x"] * side), range(1, side))
    assert found.usd_per_gb <= _by_joining(usd, side) + 1e-9


def _by_joining(usd: list[list[float]], side: int) -> float:
    """Every tree grows from the source, one target after the other, in some order."""
    best = float("inf")
    for order in permutations(range(1, side)):
        joined, total = [0], 0.0
        for target in order:
            total += min(usd[p][target] for p in joined)
            joined.append(target)
        best = min(best, total)
    return best


def test_of_trees_that_cost_the_same_the_one_with_fewer_borders_then_the_faster_is_taken() -> None:
    free = [[0.0] * 3 for _ in range(3)]
    ms = [[0, 80, 82], [80, 0, 5], [82, 5, 0]]
    one_border = cheapest(Distances(free, ms, ["a", "b", "b"]), [1, 2])
    assert (one_border.crossings, one_border.parents, one_border.ms) == (1, (0, 1), 85)
    at_home = cheapest(Distances(free, ms, ["a", "a", "a"]), [1, 2])
    assert (at_home.crossings, at_home.parents, at_home.ms) == (0, (0, 0), 82)
