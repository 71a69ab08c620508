"""What traces cost: chunks are sealed, and checked once for each of three copies, with and without
the spans that all this has on three nodes, while the collector is up, down, slow, or answers
errors; round by round, beside what the same without spans differs from itself. In processor time,
which limits a busy node; that of the collectors, in the same process, counts too. The work of the
wire, the disks and a pipeline would come on top, so the share of spans is rather too large.
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import grpc
from blake3 import blake3

from nodeagent.config import model
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.seal import Sealer
from nodeagent.telemetry import Telemetry
from tests.bench.frame import Goal, Row, Say, row
from tests.bench.pairs import MIB, Leg, Runs, Took, interleaved, leg_rows
from tests.support.otlp import receiving

CHUNK_BYTES, CHUNKS, ROUNDS, COPIES = 8 * MIB, 16, 7, 3
SPANS = ("chunk.deliver", "chunk.send", "chunk.relay", "chunk.send", "chunk.store")
INNER = ("store.datasync", "store.commit", "chunk.fact")
PAST = ("chunk.ingest", "chunk.process", "chunk.seal")
QUEUE_SPANS_MAX = 4096
NOWHERE = "http://127.0.0.1:9"
BARE, SAME = "no spans", "no spans, again"
GOAL = Goal(0.98, most=False)


async def rows(say: Say) -> AsyncIterator[Row]:
    async with AsyncExitStack() as stack:
        collectors = [await stack.enter_async_context(receiving()) for _ in range(3)]
        up, slow, wrong = collectors
        slow.hangs, wrong.answer = True, grpc.StatusCode.UNAVAILABLE
        where = {
            "no collector": "",
            "collector up": up.endpoint,
            "collector down": NOWHERE,
            "collector slow": slow.endpoint,
            "collector wrong": wrong.endpoint,
        }
        told = {name: _telemetry(endpoint) for name, endpoint in where.items()}
        legs = [
            Leg(BARE, "no span at all; by processor time", _sealing(None)),
            Leg(SAME, "", _sealing(None)),
        ]
        legs += [Leg(name, f"{_count()} spans a chunk", _sealing(t)) for name, t in told.items()]
        runs = await interleaved(legs, ROUNDS, say)
        for one in leg_rows(runs, legs):
            yield one
        yield _ratio(runs, SAME, "the noise of these pairs: both are the same")
        for name in where:
            yield _ratio(runs, name, "of the throughput without spans", GOAL)
        waiting = [t.spans_waiting for t in told.values()]
        how = f"at most in any queue; {QUEUE_SPANS_MAX} are the bound"
        yield row("spans that wait", waiting, "spans", how, at="max", goal=Goal(QUEUE_SPANS_MAX))
        dropped = [
            float(told[name].spans_dropped) for name in ("collector slow", "collector wrong")
        ]
        yield row("spans dropped and counted", dropped, "spans", "slow and wrong collectors")
        for telemetry in told.values():
            await telemetry.stop()


def _ratio(runs: Runs, name: str, how: str, goal: Goal | None = None) -> Row:
    found = runs.ratios(name, BARE)
    return row(f"{name} / {BARE}", found, "", how, goal=goal, more_is_better=True)


def _telemetry(endpoint: str) -> Telemetry:
    node = model.Node(id="a" * 16, name="aws-a", cluster="bench", cloud="aws", region="us-east-1")
    options = model.Telemetry(otlp_endpoint=endpoint, queue_spans_max=QUEUE_SPANS_MAX)
    return Telemetry(options, node, "1", Random(1))


def _count() -> int:
    further = len(SPANS[2:]) + len(INNER[:2])
    return 1 + len(SPANS) + len(INNER) + len(PAST) + (COPIES - 1) * further


def _sealing(telemetry: Telemetry | None) -> Callable[[], Awaitable[Took]]:
    plain = (json.dumps({"id": 1, "text": secrets.token_hex(60)}) * (MIB // 146)).encode()
    key = DatasetKey(os.urandom(16), os.urandom(32))

    def work() -> float:
        began_s = time.process_time()  # Others on the machine do not count, all threads here do.
        for _ in range(CHUNKS):
            sealer = Sealer(key, salt=os.urandom(32), codec=Codec.ZSTD)
            for _ in range(CHUNK_BYTES // MIB):
                list(sealer.add(plain))
            sealer.finish(None)
            for _ in range(COPIES * CHUNK_BYTES // MIB):
                blake3(plain).digest()
            if telemetry is not None:
                _spans(telemetry)
        return time.process_time() - began_s

    async def run() -> Took:
        return Took(CHUNK_BYTES * CHUNKS, await asyncio.to_thread(work))

    return run


def _spans(telemetry: Telemetry) -> None:
    now_s = time.time()
    for _ in range(COPIES - 1):  # The other nodes of the tree.
        for name in (*SPANS[2:], *INNER[:2]):
            with telemetry.span(name, peer="b" * 16) as span:
                span.fact(bytes=CHUNK_BYTES, waited_s=0.01)
    with telemetry.span("chunk", parent="", job="j" * 20, task="0.0.abcdef", attempt=1) as root:
        for name in SPANS:
            with telemetry.span(name, peer="b" * 16) as span:
                span.fact(bytes=CHUNK_BYTES, waited_s=0.01)
        for name in INNER:
            with telemetry.span(name, volume="v" * 32):
                pass
        for name in PAST:
            telemetry.past(name, now_s, now_s, parent=root.traceparent, bytes=1, busy_s=0.1)
        root.fact(chunks="c" * 64)
