"""Which chunks are live, said in a file: the simple source of roots while no jobs tell of any.

One id in hex a line, and a last line `end <count>`, so that a file that was cut short is an error
and never a shorter list. Without the file nobody has said what is live, and nothing is deleted.
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.policy import Policy
from multicloud.errors import McError
from nodeagent.core.chunk.layout import HASH_BYTES
from nodeagent.upkeep.contract import Live

END = "end"
WHOLE = re.compile(rb"(?:[0-9a-f]{64}\n)*end ([0-9]+)\n?")
DEFAULT = Policy()


@dataclass(frozen=True, slots=True)
class LiveFile:
    path: Path
    policy: Policy = DEFAULT
    clock_unix_s: Callable[[], float] = time.time

    async def read(self, *, anew: bool = True) -> Live | None:
        as_of = self.clock_unix_s()
        text = await asyncio.to_thread(_text, self.path)
        if text is None:
            return None
        ids = _parse(text, self.path)
        return Live(dict.fromkeys(ids, self.policy), as_of)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise McError("FAILED", f"the list of live chunks {path} does not read: {error}") from error


def _parse(text: str, path: Path) -> list[bytes]:
    lines = text.split()
    try:
        *listed, end, count = lines
        ids = [bytes.fromhex(line) for line in listed]
        whole = end == END and int(count) == len(ids)
    except ValueError:
        whole = False
    if not whole or any(len(one) != HASH_BYTES for one in ids):
        said = f"the list of live chunks {path} is not whole"
        raise McError("DAMAGE", said, next="write it again; until then nothing is deleted")
    return ids


@dataclass(frozen=True, slots=True)
class LiveFileWitness:
    """Reads the same file in its own way, for the inspector: looks for each id in the text."""

    path: Path
    clock_unix_s: Callable[[], float] = time.time

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        begun_unix_s = self.clock_unix_s()
        named = await asyncio.to_thread(self._look, tuple(chunk_ids))
        return named, begun_unix_s

    def _look(self, chunk_ids: Collection[bytes]) -> Mapping[bytes, bool]:
        try:
            data = self.path.read_bytes().lower()
        except OSError as error:
            said = f"the list of live chunks {self.path} cannot be read again: {error.strerror}"
            raise McError("FAILED", said) from error
        whole = WHOLE.fullmatch(data)
        if whole is None or int(whole[1]) != data.count(b"\n") - data.endswith(b"\n"):
            raise McError("DAMAGE", f"the list of live chunks {self.path} is not whole")
        return {one: one.hex().encode() in data for one in chunk_ids}
