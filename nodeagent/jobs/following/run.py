"""A standing job on the node that follows its source: it looks, decides a batch, has its job made,
and waits until that has ended.

The batch is decided in the header before its job is made, and its job has a request id of its own.
So after a crash between any two steps whoever comes next makes that very job, or finds it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs.contract import Sources
from nodeagent.jobs.following.deciding import Look, batch, is_new, job_of, wait_ms
from nodeagent.jobs.following.hints import hints
from nodeagent.jobs.header import Header, Headers
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_listing import PAGE_OBJECTS_MAX
from nodeagent.wire.flow import first_of

_log = structlog.stdlib.get_logger(__name__)
AGAIN_S = 1.0
LOOK_EVERY_S = 0.25
REST = 4.0  # Times as long as a look took, nothing is looked at.


@dataclass(frozen=True, slots=True)
class FollowMeans:
    """What every standing job of this node works with."""

    world: JobWorld
    headers: Headers
    sources: Sources
    make: Callable[[job_pb2.CreateJobRequest, str], Awaitable[Header]]  # For a submitter.
    newest: Callable[[str], Header | None]  # Of a job, by this node's copy.
    folder_here: Callable[[str], Path | None]  # Of a source that is a folder of this node.


@dataclass(slots=True)
class FollowRun:
    means: FollowMeans
    header: records_pb2.JobHeader
    batch_job: str = ""
    waits: str = "it looks at its source"  # Why nothing goes on, for people.
    away: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hinted: bool = False

    is_over = False  # It never ends by itself.

    def follow(self, header: records_pb2.JobHeader) -> None:
        self.header = header
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled; SUPERSEDED when another node follows."""
        folder = self.means.folder_here(self.header.spec.source)
        _log.info("follower_began", job=self.header.id, epoch=self.header.epoch)
        try:
            async with asyncio.TaskGroup() as group:
                if folder is not None:
                    group.create_task(hints(folder, self._hint))
                await self._go_on()
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    async def _go_on(self) -> None:
        while True:
            try:
                rest_s = await self._step()
                self.away = False
            except McError as error:
                if error.reason == "SUPERSEDED":
                    raise
                self.away = error.reason == "SOURCE_AWAY"
                self.waits, rest_s = error.message, AGAIN_S
            await self._rest(rest_s)

    async def _step(self) -> float:
        """How long to rest until the next one, unless something hints at it."""
        last, rule = self.header.batch, self.header.spec.follow
        ended = await self._ended(last) if last.number else None
        if last.number and ended is None:
            return LOOK_EVERY_S
        if self.header.paused:
            self.waits = "it is paused"
            return rule.rescan_ms / 1000
        begun_s = self.means.world.clock_s()
        look = await self._look()
        took_s = self.means.world.clock_s() - begun_s
        if not is_new(look, last):
            self.waits = _nothing_new(look, last, ended)
            soon_ms = rule.settle_ms if look.unsettled else rule.rescan_ms
            return max(soon_ms / 1000, REST * took_s)
        left_ms = wait_ms(rule, look, last)
        if left_ms:
            self.waits = f"{look.new_files} new files wait {left_ms / 1000:.0f} s for more"
            return max(min(left_ms, rule.rescan_ms) / 1000, REST * took_s)
        await self._decide(batch(self.header.id, look, last))
        return 0.0

    async def _ended(self, last: job_pb2.Batch) -> records_pb2.JobHeader | None:
        """The job of the newest batch once it has ended; it is made if it was not."""
        if not self.batch_job:
            made = await self.means.make(job_of(self.header.spec, last), self.header.submitter)
            self.batch_job = made.id
        header = self.means.newest(self.batch_job)
        if header is None or not header.decided:
            self.waits = f"batch {last.number} is job {self.batch_job}"
            return None
        return header.value

    async def _look(self) -> Look:
        spec, look, cursor = self.header.spec, None, ""
        source = await self.means.sources.open(
            self.header.id, spec.source, tuple(spec.include), tuple(spec.exclude)
        )
        try:
            while True:
                page = await source.page(cursor, PAGE_OBJECTS_MAX)
                if look is None:
                    now_ms = page.listed_unix_ms or self.means.world.unix_ms()
                    until_ms = now_ms - spec.follow.settle_ms
                    look = Look(until_ms, self.header.batch.changed_until_unix_ms)
                look.add(page.objects)
                if page.last:
                    return look
                cursor = page.cursor
        finally:
            await source.close()

    async def _decide(self, new: job_pb2.Batch) -> None:
        """One decision: who is superseded by now, or paused, decides nothing."""
        epoch = self.header.epoch

        def decided(value: records_pb2.JobHeader) -> bool | None:
            if value.epoch != epoch or value.HasField("outcome"):
                said = f"another node follows for job {value.id} by now"
                raise McError("SUPERSEDED", said, facts={"epoch": str(value.epoch)})
            if value.paused:
                return False
            value.batch.CopyFrom(new)
            return None

        self.header = (await self.means.headers.change(self.header.id, decided)).value
        if self.header.batch == new:
            self.batch_job = ""
            _log.info("batch_decided", job=self.header.id, number=new.number, files=new.files)

    def _hint(self) -> None:
        self._hinted = True
        self._wake.set()

    async def _rest(self, rest_s: float) -> None:
        """Until something happens; after a hint, until what it was about is settled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._wake.wait()
        if self._hinted and rest_s:
            await asyncio.sleep(self.header.spec.follow.settle_ms / 1000)
        self._hinted = False
        self._wake.clear()


def _nothing_new(look: Look, last: job_pb2.Batch, ended: records_pb2.JobHeader | None) -> str:
    if ended is not None and ended.outcome.state != job_pb2.JOB_STATE_DONE:
        state = job_pb2.JobState.Name(ended.outcome.state).removeprefix("JOB_STATE_").lower()
        return (
            f"batch {last.number} is {state} (job {ended.id}: {ended.outcome.error}); "
            f"`mcctl retry {ended.id}` tries it again, else the next change makes a batch"
        )
    if look.unsettled:
        return f"{look.unsettled} files are not settled yet"
    return "nothing is new in its source" if look.files else "no file is in its source"
