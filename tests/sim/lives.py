"""All lives by name: what a cluster goes through and what it must show, one function each.

A life takes how to make a brain, a seed, a size and a loss, and returns complaints; none is
good. Tests run them with the production brain, and with planted bugs that they must find.
"""

from tests.sim import lives_of_members as members
from tests.sim import lives_of_watching as watching
from tests.sim.scene import Life

LIVES: dict[str, Life] = {
    "boots": members.boots,
    "killed": watching.killed,
    "silent": watching.silent,
    "paused": watching.paused,
    "two_paused": watching.two_paused,
    "quiet": watching.quiet,
    "one_way_links": watching.one_way_links,
    "slow_nodes": watching.slow_nodes,
    "fifth_dead": watching.fifth_dead,
    "region_dead": watching.region_dead,
    "split_1_min": members.split(60),
    "split_10_min": members.split(600),
    "halves": members.halves,
    "cut_off": members.cut_off,
    "quick_restart": members.quick_restart,
    "rolling_restart": members.rolling_restart,
    "leaves": members.leaves,
    "comes_back": members.comes_back,
    "loses_state": members.loses_state,
    "removed": members.removed,
    "stays_dead": members.stays_dead,
    "repairs_start": members.repairs_start,
    "churned": members.churned,
    "joins": members.joins,
    "two_alone": watching.two_alone,
    "one_refusal": watching.one_refusal,
    "one_by_one": watching.one_by_one,
    "links_in_turn": watching.links_in_turn,
    "all_sleep": watching.all_sleep,
}
