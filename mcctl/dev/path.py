"""One direction between two nodes: how long bytes take, how many pass a second, whether any do."""

from dataclasses import dataclass, field
from typing import Protocol

SLICE_S = 0.005  # With a bandwidth, bytes arrive in slices of so much time, not in one lump.
SLICE_BYTES_MIN = 1024


class Sleeper(Protocol):
    """Whoever waits for this path to change."""

    def wake(self) -> None: ...


@dataclass(eq=False)
class Path:
    """From one node to another. Shared by all connections between the two."""

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut: bool = False
    _free_at_s: float = 0.0
    _sleepers: set[Sleeper] = field(default_factory=set)

    @property
    def direct(self) -> bool:
        """Bytes may pass without being kept."""
        return self.delay_s == 0 and self.bytes_per_s is None and not self.cut

    def slice_bytes(self) -> int | None:
        if self.bytes_per_s is None:
            return None
        return max(SLICE_BYTES_MIN, int(self.bytes_per_s * SLICE_S))

    def due_s(self, size_bytes: int, now_s: float) -> float:
        """When bytes that leave now arrive. They queue behind all that left before them."""
        if self.bytes_per_s is None:
            return now_s + self.delay_s
        self._free_at_s = max(now_s, self._free_at_s) + size_bytes / self.bytes_per_s
        return self._free_at_s + self.delay_s

    def set_cut(self, cut: bool) -> None:
        self.cut = cut
        for sleeper in list(self._sleepers):
            sleeper.wake()

    def join(self, sleeper: Sleeper) -> None:
        self._sleepers.add(sleeper)

    def leave(self, sleeper: Sleeper) -> None:
        self._sleepers.discard(sleeper)
