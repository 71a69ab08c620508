"""The store in a bucket keeps every promise of the contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.store.bucket_world import BucketWorld, memory_bucket
from tests.unit.store.conformance import Conformance
from tests.unit.store.store_world import World


class TestBucketStore(Conformance):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        bucket = memory_bucket()
        made = BucketWorld(bucket, tmp_path)

        def lose(chunk_id: bytes) -> None:
            del bucket.objects[made.newest(bucket, chunk_id)]

        world = await made.world(lambda c, offset: made.spoil(bucket, c, offset), lose)
        yield world
        await world.store.close()
