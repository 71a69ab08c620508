"""What any sink promises, and how often it is tried: pure."""

from typing import Protocol

from nodeagent.sinks.outbox import Letter

PAUSES_S = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
JITTER = 0.2


class Gone(Exception):
    """The receiver wants no event ever again."""


class Sink(Protocol):
    async def send(self, letter: Letter) -> None:
        """Returns when the receiver has it for good; McError when that is not known; Gone."""
        ...

    async def close(self) -> None: ...


def pause_s(failures: int, chance: float, asked_s: float | None = None) -> float:
    """After so many failures in a row; the last pause for ever. `chance` is from 0 to 1."""
    step = PAUSES_S[min(failures, len(PAUSES_S)) - 1]
    spread = step * (1 + JITTER * (2 * chance - 1))
    return max(spread, min(asked_s or 0.0, PAUSES_S[-1]))
