"""How the nodes of a simulated world are set: everything is quicker, and the wall clocks run."""

from types import SimpleNamespace

from coordinator.jobs.settings import StewardSettings
from tests.sim.hosts import Host

HOUR_S = 3600.0
HOURS_A_SECOND = 3.0  # Of the wall clocks: what takes days fits into a life.
UNIX_S = 1_800_000_000.0
COUNCIL = SimpleNamespace(
    decide_s=3.0, call_s=1.0, replace_after_s=8.0, settle_s=0.5, found_after_s=1.0
)
STEWARD = StewardSettings(worker_silent_s=4.0, double_s_min=1.0, replace_after_s=8.0)


def unix_s(now_s: float, host: Host) -> float:
    """What the wall clock of that machine shows."""
    return UNIX_S + now_s * HOUR_S * HOURS_A_SECOND + host.wall_step_s


class Options:
    """Hours of the wall clock are seconds of the loop; passes come by the loop's."""

    look_every_s = 3.0
    scrub_within_s = 7 * 24 * HOUR_S
    scrub_bytes_per_s_max = repair_bytes_per_s_max = 1 << 40
    repair_at_once_max = 4
    evidence_keep_s = trash_keep_s = 6 * HOUR_S
    trash_every_s = 4.0
    trash_share_max = 1.0
    grace_s = 3 * HOUR_S
    surplus_every_s = 5.0
