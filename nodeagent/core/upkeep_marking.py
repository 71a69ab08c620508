"""What may go to the trash: chunks that no root names, old enough, and never too many at once."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from nodeagent.core.upkeep_schedule import Kept


@dataclass(frozen=True, slots=True)
class Amount:
    chunks: int = 0
    file_bytes: int = 0

    @classmethod
    def of(cls, kept: Iterable[Kept]) -> "Amount":
        sizes = [one.file_bytes for one in kept]
        return cls(len(sizes), sum(sizes))

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.chunks + other.chunks, self.file_bytes + other.file_bytes)


def is_unnamed(kept: Kept, live: Container[bytes], known_unix_s: float, grace_s: float) -> bool:
    """The roots, as read then, do not name it. A chunk that was stored less than the grace before
    may belong to a job that they do not tell of yet.
    """
    return kept.chunk_id not in live and kept.stored_unix_s + grace_s <= known_unix_s


def too_much(marked: Amount, living: Amount, trash: Amount, share_max: float) -> str:
    """Why so much may not go unasked; "" when it may. What lies in trash counts with it, so that
    many small passes do not take what one may not.
    """
    gone, whole = marked + trash, living + trash
    for what, part, of in (
        ("chunks", gone.chunks, whole.chunks),
        ("bytes", gone.file_bytes, whole.file_bytes),
    ):
        if part > share_max * of:
            return f"{part} of {of} {what} would be in the trash, {share_max:.0%} may be unasked"
    return ""
