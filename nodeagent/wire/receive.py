"""PutChunk: one chunk comes in, stays here if the disk allows, and goes on along its tree."""

import asyncio
import re
from collections.abc import AsyncIterator

from coordinator.places import place, volume_of
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.core.chunk.layout import (
    FRAME_SEALED_BYTES_MAX,
    FRAMES_MAX,
    HASH_BYTES,
    HEADER_BYTES_MAX,
    TRAILER_BYTES_MAX,
)
from nodeagent.store.contract import Pin
from nodeagent.store.volumes import DISK, Volumes
from nodeagent.telemetry import trace_id
from nodeagent.wire.answers import Answers
from nodeagent.wire.budget import Lease
from nodeagent.wire.facts import Fact, Ledger, to_message
from nodeagent.wire.flow import Flow, Sink, first_of
from nodeagent.wire.ground import Ground
from nodeagent.wire.inlet import Inlet
from nodeagent.wire.outlet import Terms
from nodeagent.wire.parts import checked, out_of_order, read_opening
from nodeagent.wire.sinks import Sinks
from nodeagent.wire.tree import check_trees

FILE_BYTES_MAX = HEADER_BYTES_MAX + FRAMES_MAX * FRAME_SEALED_BYTES_MAX + TRAILER_BYTES_MAX
TASK_CHARS_MAX = 256
JOB = re.compile(r"[A-Za-z0-9._-]{1,128}")
BRIDGE_S = 3600.0  # A chunk that was found here for no job stays at least so long.


def job_of(job: str) -> str:
    """The name of a job, as pins and puts carry it; it cannot look like a promise."""
    if not JOB.fullmatch(job):
        raise McError("BAD_REQUEST", f"{job[:64]!r} is no name of a job")
    return job


def promise(node: str, until_unix_s: float) -> Pin:
    """What this node keeps because another one counts on it."""
    return Pin(f"promise/{node}", until_unix_s)


class Receiving:
    """One call of PutChunk."""

    def __init__(
        self,
        ground: Ground,
        store: Volumes,
        sender: str,
        answers: Answers[chunk_pb2.PutChunkResponse],
    ) -> None:
        self._ground, self._store, self._sender, self._answers = ground, store, sender, answers
        self._place = ground.node

    async def run(self, requests: AsyncIterator[bytes]) -> None:
        opening = await self._opening(requests)
        terms = _terms(opening)
        beyond = check_trees(opening.children, self._ground.node, self._sender)
        if opening.volume:
            self._place = place(self._ground.node, opening.volume)
        ledger = Ledger((self._place, *beyond), self._told)
        # The call's own span is in that trace as a rule: then this one nests in it.
        parent = None if trace_id() and trace_id() in opening.traceparent else opening.traceparent
        name = "chunk.relay" if opening.children else "chunk.receive"
        with (
            self._ground.budget.lease(self._sender) as lease,
            self._ground.watcher.span(name, parent=parent, peer=self._sender) as span,
        ):
            sinks = Sinks(self._ground, self._store, terms, ledger)
            # Others first: an own volume may have to look before it knows.
            await sinks.add(opening.children)
            if not await self._already(terms, ledger):
                await sinks.keep(self._place)
            inlet = Inlet(
                requests,
                lease,
                self._answers.say,
                stall_s=self._ground.limits().stream_stall_s,
                clock_s=self._ground.clock_s,
            )
            try:
                await self._flow(inlet, sinks.every, lease, terms)
            finally:
                await sinks.close()
                span.fact(bytes=inlet.bytes_arrived, window_bytes=lease.size_bytes)
                self._ground.moved("in", self._sender, inlet.bytes_arrived)

    async def _opening(self, requests: AsyncIterator[bytes]) -> chunk_pb2.PutOpening:
        stall_s = self._ground.limits().stream_stall_s
        try:
            async with asyncio.timeout(stall_s):
                return read_opening(await anext(requests))
        except StopAsyncIteration as error:
            raise out_of_order("it ended before its opening") from error
        except TimeoutError as error:
            raise McError("STALLED", f"no opening came for {stall_s:g} s") from error

    async def _already(self, terms: Terms, ledger: Ledger) -> bool:
        """Whether nothing is to be kept here: it is there already, or that volume is not."""
        if not terms.chunk_id:
            return False
        until_unix_s = self._ground.clock_unix_s() + BRIDGE_S
        pin = Pin(terms.job) if terms.job else promise(self._sender, until_unix_s)
        try:
            volume = self._store.named(volume_of(self._place) or DISK)
            for held in await volume.have([terms.chunk_id], pin):
                ledger.settle(Fact(self._place, held.chunk_id, held.volume, already=True))
                return True
        except McError as error:
            ledger.fail(self._place, error)
            return True
        return False

    async def _flow(self, inlet: Inlet, sinks: list[Sink], lease: Lease, terms: Terms) -> None:
        flow = Flow(sinks, window_bytes=lambda: lease.size_bytes, taken=inlet.taken)
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(inlet.watch())
                await flow.run(checked(inlet.parts(), terms.file_bytes_max))
                watching.cancel()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed
        inlet.learn()

    def _told(self, fact: Fact) -> None:
        self._answers.say(to_message(fact))
        if fact.node == self._place:
            reason = fact.error.reason if fact.error else ""
            self._ground.watcher.count("mc.wire.puts", outcome=fact.outcome, reason=reason)


def _terms(opening: chunk_pb2.PutOpening) -> Terms:
    if opening.job:
        job_of(opening.job)
    if len(opening.task) > TASK_CHARS_MAX:
        raise McError("BAD_REQUEST", f"the task's name has more than {TASK_CHARS_MAX} characters")
    if not 0 < opening.sealed_size_bytes_max <= FILE_BYTES_MAX:
        said = f"a chunk of {opening.sealed_size_bytes_max} bytes does not exist"
        raise McError("BAD_REQUEST", said, next=f"announce 1 to {FILE_BYTES_MAX} bytes")
    if len(opening.chunk_id) not in (0, HASH_BYTES):
        raise McError("BAD_REQUEST", f"a chunk's id has {HASH_BYTES} bytes")
    return Terms(opening.job, opening.task, opening.sealed_size_bytes_max, opening.chunk_id)
