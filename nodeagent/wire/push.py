"""PushChunk: a chunk of this node goes along a tree. Repair, and spares of a put, stand on it."""

from collections.abc import Sequence
from dataclasses import replace

from multicloud.v1 import chunk_pb2
from nodeagent.core.window import WINDOW_BYTES_MIN
from nodeagent.store.contract import Reading
from nodeagent.store.volumes import Volumes
from nodeagent.wire.facts import Ledger
from nodeagent.wire.flow import Flow
from nodeagent.wire.ground import Ground
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import Parts, frame_part, header_part, trailer_part
from nodeagent.wire.sinks import Sinks


async def push(
    ground: Ground,
    store: Volumes,
    chunk_id: bytes,
    terms: Terms,
    children: Sequence[chunk_pb2.PutTree],
    ledger: Ledger,
) -> None:
    """Returns when `ledger` has a fact of every node of the tree."""
    reading = await store.read(chunk_id)
    try:
        known = replace(terms, chunk_id=chunk_id, file_bytes_max=reading.envelope.file_bytes)
        sinks = Sinks(ground, store, known, ledger)
        try:
            await sinks.add(children)
            await Flow(sinks.every, window_bytes=lambda: WINDOW_BYTES_MIN).run(
                stored_parts(reading)
            )
        finally:
            await sinks.close()
    finally:
        await reading.close()


async def stored_parts(reading: Reading) -> Parts:
    """The parts of a chunk on the own disk, each frame checked by the store."""
    envelope = reading.envelope
    yield header_part(envelope.header)
    index = 0
    async for data in reading.frames():
        yield frame_part(index, data, envelope.entries[index].leaf)
        index += 1
    yield trailer_part(envelope)
