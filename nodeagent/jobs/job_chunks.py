"""The plain bytes of one small chunk of a job, from whoever has it: what was put aside."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from coordinator.places import node_of
from multicloud.errors import McError
from multicloud.v1 import records_pb2, task_pb2
from nodeagent.core.chunk.envelope import Envelope
from nodeagent.core.chunk.open import Opener
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.store.volumes import Volumes
from nodeagent.wire.fetch import fetch
from nodeagent.wire.ground import Ground


@dataclass(frozen=True, slots=True)
class JobChunks:
    ground: Ground
    store: Volumes
    keyring: CouncilKeyring

    async def plain(self, header: records_pb2.JobHeader, chunk: task_pb2.SealedChunk) -> bytes:
        """COPIES_MISSING with the last reason when no holder gives it."""
        why = "nobody is known to have it"
        for node in dict.fromkeys(node_of(copy.node) for copy in chunk.copies):
            try:
                return await self._from(node, header, chunk.id)
            except McError as error:
                if error.reason == "KEY_MISSING":
                    raise
                why = f"{node}: {error.message}"
        said = f"chunk {chunk.id.hex()} cannot be had: {why}"
        raise McError("COPIES_MISSING", said, facts={"chunk": chunk.id.hex()})

    async def _from(self, node: str, header: records_pb2.JobHeader, chunk_id: bytes) -> bytes:
        key = await self.keyring.key(header.key_id)
        if node == self.ground.node:
            reading = await self.store.read(chunk_id)
            try:
                return await _opened(Opener(reading.envelope, key), reading.frames())
            finally:
                await reading.close()
        async with fetch(self.ground, node, chunk_id) as fetching:
            envelope: Envelope = fetching.envelope
            return await _opened(Opener(envelope, key), fetching.frames())


async def _opened(opener: Opener, frames: AsyncIterator[bytes]) -> bytes:
    plain, index, check = bytearray(), 0, opener.plain_check()
    async for frame in frames:
        piece = opener.open_frame(index, frame, checked=True)
        check.add(piece)
        plain += piece
        index += 1
    check.finish()
    return bytes(plain)
