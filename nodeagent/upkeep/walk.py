"""All chunks of a node one by one, without keeping the loop from others: there may be millions."""

import asyncio
from collections.abc import AsyncIterator

from nodeagent.store.contract import Held
from nodeagent.upkeep.contract import Chunks

BREATH = 500  # Chunks between two breaths of the loop: well below a millisecond.


async def walk(chunks: Chunks) -> AsyncIterator[Held]:
    count = 0
    async for held in chunks.list():
        yield held
        count += 1
        if count % BREATH == 0:
            await asyncio.sleep(0)
