"""Each sync of a chunk shows in that chunk's trace, and a disk's work and faults are counted."""

import asyncio
import errno
from pathlib import Path
from random import Random

from nodeagent.config import model
from nodeagent.store.observer import TelemetryObserver
from nodeagent.telemetry import Telemetry
from tests.unit.store.local_world import LocalWorld
from tests.unit.store.store_world import bytes_of, chunk_of, put, reason_of


def telemetry() -> Telemetry:
    node = model.Node(id="a" * 16, name="n", cluster="c", cloud="aws", region="r")
    return Telemetry(model.Telemetry(), node, "1", Random(1))


async def test_the_syncs_of_a_chunk_are_in_its_trace_and_in_no_other(tmp_path: Path) -> None:
    world, seen = LocalWorld(tmp_path / "v"), telemetry()
    traces: dict[int, str] = {}

    async with world.open(observer=TelemetryObserver(seen)) as store:

        async def traced(number: int) -> None:
            with seen.span("put") as span:
                traces[number] = span.trace_id
                await put(store, chunk_of(number))

        await asyncio.gather(*(traced(number) for number in range(5)))
        await put(store, chunk_of(9))  # Of no trace.
    for trace_id in traces.values():
        names = sorted(span.name for span in seen.spans_of(trace_id))
        assert names == ["put", "store.commit", "store.datasync"]


async def test_bytes_batches_syncs_faults_and_damage_are_counted(tmp_path: Path) -> None:
    world, seen = LocalWorld(tmp_path / "v"), telemetry()
    chunk = chunk_of(1)
    async with world.open(observer=TelemetryObserver(seen)) as store:
        await put(store, chunk)
        world.path(chunk.id).write_bytes(b"bad")
        await reason_of(bytes_of(store, chunk))
        world.files.fail("datasync", errno.EIO)
        await reason_of(put(store, chunk_of(2)))
    page = seen.metrics_text().decode()
    assert f"mc_store_put_bytes_total {float(len(chunk.file))}" in page
    assert 'mc_store_fsync_seconds_count{mc_what="data"} 1.0' in page
    assert 'mc_store_fsync_seconds_count{mc_what="pins"} 1.0' in page
    assert "mc_store_damage_total 1.0" in page
    assert 'mc_store_faults_total{mc_state="failed"} 1.0' in page
    assert "mc_store_batch_count" in page
