"""Compares what was read of an object, where all of it was, with what its cloud says of it.

Ranges come in any order, and again; only those that are ahead of their turn are held.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from multicloud.errors import McError
from multicloud.v1 import task_pb2
from nodeagent.jobs.sources import checksums

OBJECTS_MAX = 64  # Of one source on one node; of others that are read at once nothing is compared.
HELD_BYTES_MAX = (
    8 << 20
)  # Of one object; whoever reads further ahead than that reads here and there.


@dataclass(slots=True)
class _Seen:
    hash: checksums.Hash
    at: int = 0
    held: dict[int, bytes] = field(default_factory=dict)
    bad: bool = False

    def take(self, offset_bytes: int, data: bytes) -> None:
        self.held[offset_bytes] = data
        while (found := self.held.pop(self.at, None)) is not None:
            self.hash.update(found)
            self.at += len(found)
            if not found:
                return


@dataclass(slots=True)
class Whole:
    _open: OrderedDict[tuple[bytes, str], _Seen] = field(default_factory=OrderedDict)

    def check(self, asked: task_pb2.TaskInput, offset_bytes: int, data: bytes) -> None:
        """DAMAGE when the last range is there and the whole is not what the cloud has. Whoever
        reads it then begins anew: which of the ranges was wrong, nobody knows.
        """
        if (asked.range.offset_bytes, asked.range.size_bytes) != (0, asked.size_bytes):
            return  # Others read the rest.
        which = asked.path, asked.etag
        seen = self._open.get(which)
        if seen is None or (seen.bad and not offset_bytes):
            made = checksums.begun(asked.checksum)
            if made is None or offset_bytes > HELD_BYTES_MAX:
                return
            seen = self._open[which] = _Seen(made)
            if len(self._open) > OBJECTS_MAX:
                self._open.popitem(last=False)
        if not seen.bad:
            if offset_bytes < seen.at or offset_bytes - seen.at > HELD_BYTES_MAX:
                return
            seen.take(offset_bytes, data)
            if seen.at < asked.size_bytes:
                return
            seen.bad = not checksums.agrees(seen.hash, asked.checksum)
        if seen.bad:
            shown = asked.path.decode("utf-8", "backslashreplace")
            said = f"{shown}: what came is not what {asked.checksum} in its listing says"
            raise McError("DAMAGE", said, next="it is read again, by another node too")
        del self._open[which]
