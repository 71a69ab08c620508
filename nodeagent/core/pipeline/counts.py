"""What became of records, step by step, so that sums reconcile; and when a job is hopeless."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nodeagent.core.pipeline.model import Pipeline

HOPELESS_FROM_RECORDS = 1000  # Before so many were seen a share of bad ones says little.


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one step: in = out + filtered + dropped + quarantined, unless it makes records anew."""

    step: str
    records_in: int = 0
    records_out: int = 0
    records_filtered: int = 0  # Left out by rule: filter, sample, dedupe, None of a function.
    records_dropped: int = 0  # Bad, and on_bad = "drop".
    records_quarantined: int = 0

    @property
    def remakes(self) -> bool:
        """Its records out are not its records in: only their numbers are told."""
        return self.step in ("transform.sql", "python")

    @property
    def bad(self) -> int:
        return self.records_dropped + self.records_quarantined

    def reconciles(self) -> bool:
        gone = self.records_filtered + self.bad
        return self.remakes or self.records_in == self.records_out + gone

    def __add__(self, other: "Counts") -> "Counts":
        assert self.step == other.step, "sums are of one step"
        return Counts(
            self.step,
            self.records_in + other.records_in,
            self.records_out + other.records_out,
            self.records_filtered + other.records_filtered,
            self.records_dropped + other.records_dropped,
            self.records_quarantined + other.records_quarantined,
        )


def names(pipeline: Pipeline) -> tuple[str, ...]:
    """Whom counts are kept for: reading, each step, and writing records out."""
    return ("read", *(step.use for step in pipeline.steps), "write")


def total(parts: Iterable[Sequence[Counts]]) -> list[Counts]:
    """The sums of many tasks of one pipeline, step by step."""
    sums: list[Counts] = []
    for part in parts:
        if not sums:
            sums = list(part)
        else:
            sums = [one + other for one, other in zip(sums, part, strict=True)]
    return sums


def hopeless(pipeline: Pipeline, sums: Sequence[Counts], *, finished: bool) -> str:
    """Why a job with these sums so far should stop; empty when it should not.

    `fail_above` of a step is a share of the records that reached it. What cannot be read counts
    for the first step that judges: to whoever wrote the pipeline both are bad records.
    """
    unread = sums[0].bad if sums else 0
    for step, counts in zip(pipeline.steps, sums[1:-1], strict=True):
        if step.fail_above >= 1.0:
            continue
        seen, bad = counts.records_in + unread, counts.bad + unread
        unread = 0
        if (finished or seen >= HOPELESS_FROM_RECORDS) and bad > step.fail_above * seen:
            share = f"{bad} of {seen} records are bad, more than fail_above = {step.fail_above:g}"
            return f"{step.use}: {share}"
    return ""
