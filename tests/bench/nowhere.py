"""A node whose store keeps nothing: guard, wire, checks and facts are those of any node, so what is
measured is the stream alone.

    python -m tests.bench.nowhere ID FOLDER
"""

import asyncio
import sys
import time
from pathlib import Path

from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.memory import raise_malloc_thresholds
from nodeagent.store.contract import Committed, Held, Pin, Put
from nodeagent.store.memory import MemoryStore
from nodeagent.store.volumes import Volumes
from tests.bench.lines import answer
from tests.support.nodes import Place, running


class Dropping:
    """Takes bytes, and says at once that they are stored."""

    def __init__(self, volume: str) -> None:
        self._volume = volume

    async def write(self, data: Bytes) -> None: ...

    async def commit(self, envelope: Envelope, pin: Pin | None) -> Committed:
        now_s = time.time()
        held = Held(envelope.chunk_id, self._volume, envelope.file_bytes, now_s, now_s)
        return Committed(held, already=False)

    async def abort(self) -> None: ...


class Nowhere(MemoryStore):
    async def put(self, file_bytes_max: int, chunk_id: bytes = b"") -> Put:
        return Dropping(self.volume)


async def main(node: str, folder: Path) -> None:
    place = Place(node, folder.name, folder, folder / "nodeagent.toml")
    async with running(place, Volumes([Nowhere(node, clock=time.time)])) as serving:

        async def address(_: object) -> str:
            return serving.address

        await answer(address)


if __name__ == "__main__":
    raise_malloc_thresholds()
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
