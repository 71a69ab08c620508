"""What this machine lacks for some tests: listed at the end of the run, with the remedy."""

from collections import Counter
from collections.abc import Iterable

NOT_RUN = "not run: "


def lacking(reasons: Iterable[str]) -> list[str]:
    """A line for each thing that is lacking, of the reasons for which tests were skipped."""
    counted = Counter(why.partition(NOT_RUN)[2] for why in reasons if NOT_RUN in why)
    return [f"{tests} tests NOT RUN: {why}" for why, tests in sorted(counted.items())]
