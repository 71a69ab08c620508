"""History: rolled up in grains, bounded, kept over restarts and torn files."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from nodeagent.config import model
from nodeagent.core.rollup import GRAINS, SERIES_MAX, Rollup, Row, Spread, grain_for, thinned
from nodeagent.history.book import MARKS_MAX, Book, Mark
from nodeagent.history.recorder import Recorder
from nodeagent.history.sampler import Sampler
from nodeagent.telemetry import Sample, Telemetry

T0 = 1_800_000_000
FINE, MIDDLE, COARSE = GRAINS


def gauge(value: float) -> list[Sample]:
    return [Sample("mc.repair.debt", (), value)]


def recorder(folder: Path, clock: list[float], values: Sequence[float] = (5.0,)) -> Recorder:
    given = iter(values)
    last = [0.0]

    def samples() -> list[Sample]:
        last[0] = next(given, last[0])
        return gauge(last[0])

    return Recorder(folder / "history.db", samples, list, lambda: clock[0])


def test_each_grain_knows_the_least_the_mean_and_the_most_of_its_step() -> None:
    rollup, rows = Rollup(), []
    for second in range(61):
        rows += rollup.add(T0 + second, {"x": float(second)})
    by_step = {step: [r for r in rows if r.step_s == step] for step in (1, 10, 60)}
    assert [len(by_step[s]) for s in (1, 10, 60)] == [60, 6, 1]
    assert by_step[10][0].values["x"] == Spread(0.0, 4.5, 9.0)
    assert by_step[60][0].values["x"] == Spread(0.0, 29.5, 59.0)


def test_the_finest_grain_is_read_that_reaches_back_so_far() -> None:
    assert grain_for(T0 - 60, T0, T0, 120) is FINE
    assert grain_for(T0 - 7200, T0, T0, 1000) is MIDDLE
    assert grain_for(T0 - 7200, T0 - 7100, T0, 1000) is MIDDLE
    assert grain_for(T0 - 3 * 86_400, T0, T0, 10) is COARSE


def test_points_are_no_more_than_asked_for_and_keep_the_peaks() -> None:
    points = [(T0 + n, Spread(n, n, n)) for n in range(100)]
    found = thinned(points, T0, T0 + 100, 10)
    assert len(found) == 10
    assert found[-1] == (T0 + 90, Spread(90, 94.5, 99))


def test_counters_are_told_per_second_and_durations_as_their_mean() -> None:
    sampler = Sampler()
    size, took = ("mc.wire.bytes", (("network.io.direction", "in"),)), ("mc.store.fsync", ())
    sampler.figures([Sample(*size, 100, counter=True), Sample(*took, 1.0, count=2)], 1.0)
    found = sampler.figures([Sample(*size, 300, counter=True), Sample(*took, 2.0, count=6)], 2.0)
    assert found == {"mc.wire.bytes{direction=in}": 100.0, "mc.store.fsync": 0.25}


def test_what_was_written_and_what_was_not_is_read_as_one_and_survives_a_restart(
    tmp_path: Path,
) -> None:
    clock = [float(T0)]
    first = recorder(tmp_path, clock, [1.0, 2.0, 3.0, 4.0])
    for second in range(4):
        clock[0] = T0 + second
        first.look()
        if second == 1:
            first.write()
    before = first.read([], T0, T0 + 10, 10)["mc.repair.debt"]
    assert [spread.mean for _, spread in before] == [1.0, 2.0, 3.0, 4.0]
    first.write(last=True)
    second_life = recorder(tmp_path, clock)
    second_life.write()
    assert second_life.read(["mc.repair.debt"], T0, T0 + 10, 10)["mc.repair.debt"] == before
    assert second_life.read(["mc.peers"], T0, T0 + 10, 10) == {}


@pytest.mark.parametrize("torn", [b"no database at all" * 500, b""])
def test_a_torn_file_is_put_aside_and_history_goes_on(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "history.db"
    file.write_bytes(torn)
    book = Book(file)
    book.write([Row(1, T0, {"x": Spread(1, 1, 1)})], [], T0)
    assert book.read(["x"], 1, T0, T0 + 1)["x"] == [(T0, Spread(1, 1, 1))]
    book.close()
    assert (tmp_path / "history.torn").exists() is bool(torn)


def test_a_file_torn_in_its_middle_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    book = Book(file)
    values = {f"x{n}": Spread(1, 1, 1) for n in range(100)}
    book.write([Row(1, T0 + n, values) for n in range(200)], [], T0)
    book.close()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    Book(file).close()
    assert (tmp_path / "history.torn").exists()


def test_rows_marks_and_series_are_bounded(tmp_path: Path) -> None:
    book = Book(tmp_path / "history.db")
    many = {f"x{n:04}": Spread(1, 1, 1) for n in range(SERIES_MAX + 5)}
    marks = [Mark(T0 * 1000 + n, "node.down", {"id": "a"}) for n in range(MARKS_MAX + 5)]
    book.write([Row(1, T0, many)], marks, T0)
    assert len(book.names()) == SERIES_MAX
    assert len(book.marks(T0 - 1, T0 + 3600, MARKS_MAX + 5)) == MARKS_MAX
    book.write([Row(1, T0 + 3601, many)], [], T0 + 3601)
    name = book.names()[0]
    assert [at for at, _ in book.read([name], 1, T0 - 1, T0 + 9999)[name]] == [T0 + 3601]
    book.close()


def test_the_reader_of_the_page_gives_samples_too_and_the_page_stays_whole() -> None:
    node = model.Node(id="a" * 16, name="n", cluster="c", cloud="aws", region="r")
    seen = Telemetry(model.Telemetry(), node, "1", Random(1))
    seen.count("mc.wire.bytes", 7, direction="in")
    seen.observe("mc.store.fsync", 0.5)
    found = {one.name: one for one in seen.samples()}
    assert found["mc.wire.bytes"].value == 7
    assert found["mc.wire.bytes"].counter
    assert (found["mc.store.fsync"].value, found["mc.store.fsync"].count) == (0.5, 1)
    assert b"mc_wire_bytes_total" in seen.metrics_text()
