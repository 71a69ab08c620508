"""How many bytes a sender may have under way to here: a window that follows distance and pace.

Within one round trip a sender that is held back by its window brings a whole window, one that is
slow brings less: so twice what came within a round trip is what the window should be.
"""

from dataclasses import dataclass

from nodeagent.core.chunk.layout import FRAME_SEALED_BYTES_MAX

# Every window has room for the largest frame, or a sender could wait for ever.
WINDOW_BYTES_MIN = FRAME_SEALED_BYTES_MAX
GRANT_SHARE = 4  # Credits are told when a quarter of the window has come free.
ROUND_S_MIN = 0.01  # Nearer than that, what is measured is the machine and not the way; fewer,
# larger credits save a near sender a twentieth of all processor time.


@dataclass(slots=True)
class Window:
    """The counts of one stream. Who holds it gives it bytes and times, and tells the credits."""

    size_bytes: int
    round_s: float | None = None  # The least round trip to this sender, once one is known.
    granted: int = 0
    arrived: int = 0
    taken: int = 0
    _first_grant_s: float = 0.0
    _round_began_s: float = 0.0
    _taken_before: int = 0

    @property
    def sender_may_send(self) -> bool:
        """It has credit for any part, so it is not here that the stream waits."""
        return self.granted - self.arrived >= FRAME_SEALED_BYTES_MAX

    def open(self, now_s: float) -> int:
        """The first credit."""
        self._first_grant_s = self._round_began_s = now_s
        self.granted = self.size_bytes
        return self.granted

    def arrive(self, size_bytes: int, now_s: float) -> bool:
        """False: the sender sends more than it was allowed."""
        if not self.arrived:
            round_s = max(ROUND_S_MIN, now_s - self._first_grant_s)
            self.round_s = min(round_s, self.round_s or round_s)
            self._round_began_s = now_s
        self.arrived += size_bytes
        return self.arrived <= self.granted

    def take(self, size_bytes: int) -> None:
        """Bytes that wait here no longer."""
        self.taken += size_bytes

    def wanted_bytes(self, now_s: float) -> int:
        """The size that the last round trip asks for; 0 while it lasts."""
        passed_s = now_s - self._round_began_s
        if self.round_s is None or passed_s < self.round_s:
            return 0
        taken = self.taken - self._taken_before
        self._taken_before, self._round_began_s = self.taken, now_s
        return int(2 * taken * self.round_s / passed_s)

    def grant(self) -> int:
        """The credit to tell now; 0 while it is not worth a message."""
        due = self.taken + self.size_bytes - self.granted
        if due <= 0 or (due < self.size_bytes // GRANT_SHARE and self.sender_may_send):
            return 0
        self.granted += due
        return due
