"""How patient a steward is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StewardSettings:
    attempts_max: int = 5  # Of one task, on at least two workers; then it is poisoned.
    retry_s: float = 0.5  # Before the second try at the most; doubled for each further one.
    retry_s_max: float = 30.0
    double_after: float = (
        2.0  # Times the median: a task that runs so long is given to another, too.
    )
    double_s_min: float = 3.0
    ahead_tasks: int = 64  # Planned and not yet taken; then listing waits.
    worker_silent_s: float = 6.0  # A worker that says nothing for so long has its tasks taken back.
    offer_s: float = 2.0  # An offer that its worker does not know after so long was lost.
    turn_s: float = 1.0  # So much later each further keeper goes on with a job.
    replace_after_s: float = 30.0  # A keeper that is back by then has lost nothing.
