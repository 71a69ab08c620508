"""The names in a volume's folder. What a file was put aside for is told by its name alone.

volume.json  pins.journal  index.db  tmp/  chunks/xx/<id>.chunk
trash/<id>.<unix ms>.<why>  quarantine/<id>.<unix ms>.<why>
"""

from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus

from nodeagent.core.chunk.layout import HASH_BYTES

SUFFIX = ".chunk"
SHELVES = tuple(f"{number:02x}" for number in range(256))
WHY_CHARS_MAX = 140  # So that a name stays below 255 bytes.


@dataclass(frozen=True, slots=True)
class AsideName:
    """Of a file in the trash or in quarantine."""

    chunk_id: bytes
    unix_ms: int
    why: str

    def encode(self) -> str:
        kept = self.why[:WHY_CHARS_MAX]
        while len(why := quote_plus(kept)) > WHY_CHARS_MAX:
            kept = kept[:-1]  # By whole letters: half of one would not decode.
        return f"{self.chunk_id.hex()}.{self.unix_ms}.{why}"


def decode_aside(name: str) -> AsideName | None:
    """None for a name that is not ours."""
    stem, _, rest = name.partition(".")
    digits, dot, why = rest.partition(".")
    chunk_id = _id_of(stem)
    if chunk_id is None or not dot or not (digits.isascii() and digits.isdecimal()):
        return None
    return AsideName(chunk_id, int(digits), unquote_plus(why))


def chunk_of(shelf: str, name: str) -> bytes | None:
    """The id of a chunk's file; None for a name that is not ours."""
    if not name.endswith(SUFFIX) or not name.startswith(shelf):
        return None
    return _id_of(name.removesuffix(SUFFIX))


def _id_of(text: str) -> bytes | None:
    if len(text) != 2 * HASH_BYTES or not all(letter in "0123456789abcdef" for letter in text):
        return None
    return bytes.fromhex(text)


@dataclass(frozen=True, slots=True)
class Paths:
    folder: str

    @property
    def identity(self) -> str:
        return f"{self.folder}/volume.json"

    @property
    def pins(self) -> str:
        return f"{self.folder}/pins.journal"

    @property
    def index(self) -> str:
        return f"{self.folder}/index.db"

    @property
    def drafts(self) -> str:
        return f"{self.folder}/tmp"  # noqa: S108 - of the volume's own folder

    @property
    def chunks(self) -> str:
        return f"{self.folder}/chunks"

    @property
    def trash(self) -> str:
        return f"{self.folder}/trash"

    @property
    def quarantine(self) -> str:
        return f"{self.folder}/quarantine"

    def draft(self, name: str) -> str:
        return f"{self.drafts}/{name}"

    def shelf(self, chunk_id: bytes) -> str:
        return f"{self.chunks}/{chunk_id[:1].hex()}"

    def chunk(self, chunk_id: bytes) -> str:
        return f"{self.shelf(chunk_id)}/{chunk_id.hex()}{SUFFIX}"
