"""A read of a chunk that is larger than any window, to its very end."""

import asyncio
import os

from multicloud.channel import Credentials
from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.wire.fetch import fetch
from tests.support.chunks import seal
from tests.support.nodes import Running
from tests.support.puts import put

FRAMES, PAUSE_S = 24, 0.02


async def test_a_read_ends_well_however_late_its_last_credit_is_given(
    trio: list[Running], sender: Credentials
) -> None:
    plain = os.urandom(FRAMES * FRAME_BYTES)
    chunk = seal(plain, frame_bytes=FRAME_BYTES, salt=os.urandom(32))
    holder, reader = trio[0], trio[1].node.data.ground
    await put(holder, sender, chunk, sealed_size_bytes_max=2 * len(plain))
    async with fetch(reader, holder.place.id, chunk.id) as fetching:
        came = []
        async for frame in fetching.frames():
            came.append(frame)
            await asyncio.sleep(PAUSE_S)  # The holder is done long before the reader.
    assert came == list(chunk.frames)
