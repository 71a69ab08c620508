"""What the members' proofs of one chunk say together, and when evidence of damage may go."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from coordinator.types import NodeId

COPIES_MIN = 2  # Fewer proven copies than this never let evidence go.


@dataclass(frozen=True, slots=True)
class Proof:
    """What one member answered about its copy. Neither here nor reached: not good, not missing."""

    node: NodeId
    volume: str = ""
    good: bool = False
    missing: bool = False
    proof: bytes = b""  # Of all bytes, keyed with the nonce; b"" where no reading was asked for.
    reason: str = ""  # A reason of the table, where it is not good.

    @property
    def unknown(self) -> bool:
        """It did not answer, or answered about itself and not about the copy."""
        return not self.good and not self.missing and self.reason != "DAMAGE"


def judged(proofs: Iterable[Proof], own: bytes = b"") -> list[Proof]:
    """The same, but whoever proved other bytes than the rest, or than `own`, is bad.

    All good copies have the same bytes, so their proofs under one nonce are the same.
    """
    told = list(proofs)
    counts = Counter(one.proof for one in told if one.good)
    right = own or (counts.most_common(1)[0][0] if counts else b"")
    tied = not own and sum(count == counts[right] for count in counts.values()) > 1
    return [
        replace(one, good=False, proof=b"", reason="DAMAGE")
        if one.good and (tied or one.proof != right)
        else one
        for one in told
    ]


def good(proofs: Iterable[Proof]) -> list[Proof]:
    """One for each volume: two answers about one disk are one copy."""
    return list({one.volume: one for one in proofs if one.good}.values())


def may_discard(
    found_unix_s: float, now_unix_s: float, keep_s: float, proven: int, asked: int, known: int
) -> bool:
    """Evidence goes when a time has passed and the copies asked for, or all there are to be had,
    are proven.
    """
    needed = max(COPIES_MIN, min(asked, known))
    return now_unix_s - found_unix_s >= keep_s and proven >= needed
