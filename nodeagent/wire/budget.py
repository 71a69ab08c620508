"""The daemon's one budget of bytes that wait in it, and what each stream holds of it.

A stream gets a window as its peer needed it last, or the smallest one; windows grow only while
half of the budget is free, so that new streams find room.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from multicloud.errors import McError
from nodeagent.core.window import WINDOW_BYTES_MIN

RETRY_AFTER_S = 1.0  # A chunk is through within about that time.
PEERS_REMEMBERED_MAX = 1024
# Where room is free a stream begins with this: fewer credits, less work for both sides. With the
# smallest window a near sender needs a sixth more CPU.
WINDOW_BYTES_FIRST = 4 * WINDOW_BYTES_MIN


class Limits(Protocol):
    @property
    def bytes_in_flight_max(self) -> int: ...
    @property
    def bytes_in_flight_per_peer_max(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """What the streams of a peer have shown: its round trip, and the window that filled it."""

    round_s: float | None = None
    window_bytes: int = WINDOW_BYTES_FIRST


class Budget:
    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._used = 0
        self._of: dict[str, int] = {}
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    @property
    def used_bytes(self) -> int:
        return self._used

    def lease(self, peer: str) -> "Lease":
        """TOO_BUSY when not even the smallest window is free."""
        if self._free(peer) < WINDOW_BYTES_MIN:
            said = f"{self._of.get(peer, 0)} bytes of {peer} and {self._used} in all wait here"
            raise McError("TOO_BUSY", said, retry_after_s=RETRY_AFTER_S)
        lease = Lease(self, peer, self.pace(peer))
        self._add(peer, WINDOW_BYTES_MIN)
        lease.size_bytes = WINDOW_BYTES_MIN
        lease.grow(lease.pace.window_bytes)
        return lease

    def pace(self, peer: str) -> Pace:
        return self._paces.get(peer, Pace())

    def remember(self, peer: str, pace: Pace) -> None:
        self._paces[peer] = pace
        self._paces.move_to_end(peer)
        if len(self._paces) > PEERS_REMEMBERED_MAX:
            self._paces.popitem(last=False)

    def more(self, peer: str, wanted: int) -> int:
        """What a window may grow by: half of what there is stays free for new streams."""
        limits = self._limits()
        spare = min(
            limits.bytes_in_flight_max // 2 - self._used,
            limits.bytes_in_flight_per_peer_max // 2 - self._of.get(peer, 0),
        )
        given = max(0, min(wanted, spare))
        self._add(peer, given)
        return given

    def _free(self, peer: str) -> int:
        limits = self._limits()
        own = limits.bytes_in_flight_per_peer_max - self._of.get(peer, 0)
        return min(own, limits.bytes_in_flight_max - self._used)

    def _add(self, peer: str, size_bytes: int) -> None:
        self._used += size_bytes
        self._of[peer] = self._of.get(peer, 0) + size_bytes
        if not self._of[peer]:
            del self._of[peer]

    def give_back(self, peer: str, size_bytes: int) -> None:
        self._add(peer, -size_bytes)


class Lease:
    """A stream's part of the budget, until it is left."""

    def __init__(self, budget: Budget, peer: str, pace: Pace) -> None:
        self._budget, self._peer, self.pace = budget, peer, pace
        self.size_bytes = 0

    def grow(self, wanted_bytes: int) -> int:
        """The size from now on."""
        if wanted_bytes > self.size_bytes:
            self.size_bytes += self._budget.more(self._peer, wanted_bytes - self.size_bytes)
        return self.size_bytes

    def learn(self, round_s: float | None, window_bytes: int) -> None:
        """For the next stream of this peer."""
        self._budget.remember(self._peer, Pace(round_s, max(WINDOW_BYTES_MIN, window_bytes)))

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._peer, self.size_bytes)
        self.size_bytes = 0
