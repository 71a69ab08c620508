"""How fast a laptop may send: one budget for all of its streams."""

import asyncio
from dataclasses import dataclass

AHEAD_S = 0.25  # What was not sent for so long may be caught up with.
PIECES_PER_S_MIN = 8  # While little may be sent, pieces are small: everybody gets some in turn.
PIECE_BYTES_MIN = 4 << 10


@dataclass(slots=True)
class Pace:
    """Turns are taken in the order of asking. 0 bytes a second: no bound."""

    bytes_per_s_max: int = 0
    _free_s: float = 0.0

    def piece_bytes(self, most: int) -> int:
        if not self.bytes_per_s_max:
            return most
        return max(PIECE_BYTES_MIN, min(most, self.bytes_per_s_max // PIECES_PER_S_MIN))

    async def take(self, size_bytes: int) -> None:
        """Returns when so many bytes may go."""
        if not self.bytes_per_s_max:
            return
        now_s = asyncio.get_running_loop().time()
        begin_s = max(self._free_s, now_s - AHEAD_S)
        self._free_s = begin_s + size_bytes / self.bytes_per_s_max
        await asyncio.sleep(max(0.0, begin_s - now_s))
