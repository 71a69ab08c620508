"""Whether this node may open the first council. A founder that has lost its disk looks like one
that starts for the first time; a second council beside the first would decide all once more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError

WITHIN_S = 24 * 3600.0  # After its identity was issued: later its cluster has a council.


@dataclass(frozen=True, slots=True)
class Founding:
    founder: bool  # Issued as the first node of its cluster.
    issued_unix_s: float
    expects_others: Callable[[], bool]  # Its configuration names addresses of other nodes.
    clock_unix_s: Callable[[], float] = time.time

    def may(self, *, heard_anyone: bool, waited_s: float, found_after_s: float) -> bool:
        """Nobody who was heard knows of a council; is that enough? An error when it never will."""
        if not self.founder:
            return False
        if self.clock_unix_s() - self.issued_unix_s > WITHIN_S:
            raise McError(
                "FAILED",
                "this node knows of no council and opens none: its identity is older than a day, "
                "so its cluster has one, and it has lost what it knew",
                next="start a node that knows it; is none left for good: `mcctl cluster restore`",
            )
        if heard_anyone:
            return True
        if self.expects_others() and waited_s >= found_after_s:
            raise McError(
                "FAILED",
                "no council is opened before one of the other nodes in join.peers has answered: "
                "they may have one already",
                next="start another node, or take addresses out of join.peers that no node has",
            )
        return waited_s >= found_after_s
