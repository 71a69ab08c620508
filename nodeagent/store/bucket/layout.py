"""Where a volume keeps what in its bucket. Every object is written once and never changed.

PREFIX/volume.json          whose volume it is: made once
PREFIX/journal/000000000012 what was decided, in numbered objects; the number decides races
PREFIX/state/000000000064   all that the journal up to that number says, for quick starts
PREFIX/chunks/ab/ab12…      a chunk; `.1`, `.2` where one before it was damaged or replaced
"""

from dataclasses import dataclass

from nodeagent.core.chunk.layout import HASH_BYTES

NUMBER_DIGITS = 12
_HEX = 2 * HASH_BYTES


@dataclass(frozen=True, slots=True)
class Keys:
    """`prefix` is empty or ends with a slash."""

    prefix: str

    @property
    def identity(self) -> str:
        return f"{self.prefix}volume.json"

    @property
    def journal(self) -> str:
        return f"{self.prefix}journal/"

    @property
    def state(self) -> str:
        return f"{self.prefix}state/"

    @property
    def chunks(self) -> str:
        return f"{self.prefix}chunks/"

    def entry(self, number: int) -> str:
        return f"{self.journal}{number:0{NUMBER_DIGITS}d}"

    def summary(self, number: int) -> str:
        return f"{self.state}{number:0{NUMBER_DIGITS}d}"

    def chunk(self, chunk_id: bytes, turn: int = 0) -> str:
        name = chunk_id.hex()
        return f"{self.chunks}{name[:2]}/{name}" + (f".{turn}" if turn else "")

    def chunk_of(self, key: str) -> tuple[bytes, int] | None:
        """The chunk that an object is, and which of its turns; None: it is no chunk."""
        name, _, turn = key.rpartition("/")[2].partition(".")
        try:
            found = bytes.fromhex(name), int(turn or 0)
        except ValueError:
            return None
        return found if len(name) == _HEX and self.chunk(*found) == key else None


def number_of(key: str) -> int | None:
    """Of an object of the journal or a state."""
    name = key.rpartition("/")[2]
    return int(name) if len(name) == NUMBER_DIGITS and name.isdigit() else None
