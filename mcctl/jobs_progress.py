"""A job while it runs: its stages drawn again and again, lines for pipes, or an object a change."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcctl import show
from mcctl.jobs_show import STYLES, clock, fields, named, state_name
from mcctl.options import options
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from multicloud.v1 import job_pb2

LINE_EVERY_S = 5.0  # Into a pipe; a change of state or a new reason to wait is told at once.
BAR_CHARS = 12

Tell = Callable[[job_pb2.Job], None]


@contextmanager
def telling() -> Iterator[Tell]:
    """What to do with every state of a job, by how the output is read."""
    output = options().output
    if output == "jsonl":
        yield _objects()
    elif output != "table" or options().quiet:
        yield lambda job: None
    elif show.on_terminal():
        with show.redrawn() as draw:
            yield lambda job: draw(blocks(job))
    else:
        yield _lines(time.monotonic)


def _objects() -> Tell:
    before: dict[str, Any] = {}

    def tell(job: job_pb2.Job) -> None:
        now = fields(job)
        if now != before:
            before.clear()
            before.update(now)
            show.emit(now)

    return tell


def _lines(clock_s: Callable[[], float]) -> Tell:
    """On stderr: what a log of a script should have."""
    before: tuple[Any, ...] = ()
    told_s = 0.0

    def tell(job: job_pb2.Job) -> None:
        nonlocal before, told_s
        now = (job.state, tuple(job.blocked))
        if now == before and clock_s() - told_s < LINE_EVERY_S:
            return
        before, told_s = now, clock_s()
        show.note(line(job))

    return tell


def line(job: job_pb2.Job) -> str:
    counts = job.counts
    why = f"; waiting: {'; '.join(job.blocked)}" if job.blocked else ""
    rate = next((s.bytes_per_s for s in job.stages if s.stage == "ingest"), 0.0)
    pace = f" at {human(round(rate))}/s" if rate else ""
    limit = f"; {job.bottleneck.sentence}" if job.bottleneck.sentence else ""
    return (
        f"{named(job)} {state_name(job.state)} {clock(job.seconds)}: "
        f"{counts.objects_listed} objects, {human(counts.bytes_in)} read{pace}, "
        f"{counts.chunks_safe} of {counts.chunks} chunks safe{limit}{why}"
    )


def blocks(job: job_pb2.Job) -> list[Block]:
    """One row per stage, and the reason of every wait."""
    state = state_name(job.state)
    counts = job.counts
    found: list[Block] = [
        Cell(
            f"{named(job)}  {state} {clock(job.seconds)}  job {job.id}", STYLES.get(state, "bold")
        ),
        Table(
            ("STAGE", "", ">DONE", ">OF", ">A SECOND", ">LEFT", ">QUEUED"),
            [_row(stage) for stage in job.stages],
        ),
        f"objects {counts.objects_listed}, chunks {counts.chunks}: {counts.chunks_acked} acked, "
        f"{counts.chunks_safe} safe" + _records(counts),
    ]
    if job.bottleneck.sentence:
        found.append(Cell(job.bottleneck.sentence, "cyan"))
    waiting = [stage for stage in job.stages if stage.waiting_for]
    found += [Cell(f"{one.stage} waits: {one.waiting_for}", "yellow") for one in waiting]
    found += [Cell(f"waiting: {why}", "yellow") for why in job.blocked]
    return found


def _records(counts: job_pb2.JobCounts) -> str:
    if not counts.records_in:
        return ""
    bad = f", {counts.records_quarantined} quarantined" if counts.records_quarantined else ""
    return f"; records {counts.records_in} in, {counts.records_out} out{bad}"


def _row(stage: job_pb2.StageProgress) -> list[str | Cell]:
    done, planned, rate = stage.bytes_done, stage.bytes_planned, stage.bytes_per_s
    left_s = (planned - done) / rate if planned > done and rate > 0 else 0.0
    return [
        stage.stage,
        _bar(done, planned),
        human(done),
        human(planned) if planned else "-",
        human(round(rate)) if rate else "-",
        clock(left_s) if left_s else "-",
        human(stage.queued_bytes) if stage.queued_bytes else "-",
    ]


def _bar(done: int, planned: int) -> str:
    if not planned:
        return ""
    filled = min(BAR_CHARS, BAR_CHARS * done // planned)
    return "━" * filled + "─" * (BAR_CHARS - filled)
