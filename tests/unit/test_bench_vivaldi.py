"""The evaluation of Vivaldi: on a world made by a seed, and on files of the shapes that exist."""

import gzip
from pathlib import Path
from random import Random

import pytest

from tests.bench import matrix, tables, vivaldi


@pytest.fixture(scope="module")
def world() -> matrix.Matrix:
    return matrix.synthetic(40, Random(7))


def test_pairs_that_were_never_sampled_are_estimated_within_the_goal(world: matrix.Matrix) -> None:
    score = vivaldi.evaluate(world, seed=1, rounds=400)
    assert score.good, score
    assert score.sampled_median <= score.median
    assert not vivaldi.evaluate(world, seed=1, rounds=5).good, "the goal can be missed"


def test_the_same_seed_gives_the_same_score(world: matrix.Matrix) -> None:
    first, again, other = (vivaldi.evaluate(world, seed, rounds=30) for seed in (1, 1, 2))
    assert first == again != other


def test_a_coordinate_comes_to_rest(world: matrix.Matrix) -> None:
    early, late = (vivaldi.evaluate(world, 1, rounds).drift_ms for rounds in (50, 800))
    assert late < early / 2


@pytest.mark.parametrize(
    "header", ["src,dst,src_tier,rtt_min_ms", "src,dst,x,tcp_p50_ms", "src,dst,x,rtt_median_4h_ms"]
)
def test_a_matrix_is_read_with_the_lesser_of_both_directions(header: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    with gzip.open(path, "wt") as out:
        out.write(f"{header}\nb,a,x,12.5\na,b,x,11.5\na,a,x,0.4\nc,a,x,30\n")
    found = matrix.read(path)
    assert found.names == ("a", "b", "c")
    assert [found.of(*pair) for pair in ((0, 1), (1, 0), (2, 0), (1, 2))] == [11.5, 11.5, 30, None]
    assert found.some(2, Random(1)).names != found.names


def test_a_shorter_way_over_a_third_node_is_counted() -> None:
    triangle = matrix.Matrix(("a", "b", "c"), {(0, 1): 100.0, (0, 2): 40.0, (1, 2): 45.0})
    assert triangle.detour_share() == pytest.approx(1 / 3)
    assert triangle.detour_share(0.2) == 0


def test_a_file_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("src,dst,usd_per_gb\na,b,0.09\n")
    with pytest.raises(ValueError, match=r"prices\.csv: needs columns"):
        matrix.read(path)


def test_the_command_prints_a_row_for_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], world: matrix.Matrix
) -> None:
    path = tmp_path / "made.csv"
    rows = [f"{world.names[a]},{world.names[b]},{ms}" for (a, b), ms in world.ms.items()]
    path.write_text("\n".join(["src,dst,rtt_ms", *rows]))
    assert vivaldi.main([str(path), "--nodes", "9", "--rounds", "20"]) == 0
    said = capsys.readouterr().out
    assert "| made | 9 | " in said
    assert "--nodes 9 --seed 1 --rounds 20" in said


def test_only_what_is_between_the_markers_of_a_name_is_replaced() -> None:
    page = "# A\n<!-- begin: x -->\nold\n<!-- end: x -->\nby hand\n"
    once = tables.replaced(page, "x", "new")
    assert once == "# A\n<!-- begin: x -->\nnew\n<!-- end: x -->\nby hand\n"
    assert tables.replaced(once, "x", "new") == once
    with pytest.raises(ValueError, match="'y'"):
        tables.replaced(page, "y", "new")
