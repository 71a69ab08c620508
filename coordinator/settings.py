"""The brain's knobs, with the reason for each value. All times in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    observers_max: int = 8  # Of one node; below ten nodes everyone watches everyone.
    observers_near: int = 4  # Of these, so many from the node's own region.
    near_members_min: int = 5  # A smaller region is watched by anyone.
    rewatch_s: float = 0.25  # Many joining at once are taken in together.
    probe_s: float = 0.5
    suspect_s: float = 1.2  # Beyond the round trip: stop choosing it.
    silent_s: float = 3.5  # Then an observer votes; a pause of 2.9 s is no death.
    late_tick_s: float = 0.3  # My own loop stood still: what I did not hear proves nothing.
    health_max: int = 8
    health_heal_s: float = 10.0
    few_votes_s: float = 6.0  # So long three votes of two places wait for a majority.
    revote_s: float = 2.0
    flood_peers: int = 5
    flood_again_s: float = 0.5
    sync_s: float = 1.0
    sync_anyone_every: int = 10  # Turns; the others go to neighbours, whose streams stand.
    sync_entries_max: int = 128
    revive_s: float = 5.0  # How often one of the dead is tried, so that a split heals.
    forget_s: float = 72 * 3600.0
    dead_forget_news_s: float = 36 * 3600.0
    correlated_window_s: float = 10.0
    correlated_nodes_min: int = 3
    correlated_share: float = 1 / 3
    freeze_s_max: float = 900.0
    hold_s: float = 60.0  # From dead to gone: repair begins to move bytes.
    facts_s_min: float = 1.0
    facts_s_max: float = 10.0
