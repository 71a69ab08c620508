"""A job's source as its steward uses it: listed page by page, opened anew after it was away."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from math import inf

from multicloud.errors import McError
from multicloud.v1 import job_pb2, task_pb2
from nodeagent.core.pipeline.cut import PACK_FILES_MAX
from nodeagent.jobs.contract import Source, Sources

PAGE_OBJECTS_MAX = PACK_FILES_MAX  # Tiny files of one page fill as few chunks as can be.


@dataclass(slots=True)
class Listing:
    sources: Sources
    job: str
    spec: job_pb2.JobSpec
    away: str = ""  # Why it cannot be read, until it was read again by somebody.
    _source: Source | None = None

    async def page(self, number: int, cursor: str) -> task_pb2.ListingPage:
        try:
            if self._source is None:
                spec = self.spec
                self._source = await self.sources.open(
                    self.job, spec.source, tuple(spec.include), tuple(spec.exclude)
                )
            page = await self._source.page(cursor, PAGE_OBJECTS_MAX)
        except McError:
            await self.close()
            raise
        page.page, self.away = number, ""
        if self.spec.HasField("batch"):
            leave_unsettled(page, self.spec.batch.changed_until_unix_ms)
        page.ClearField("listed_unix_ms")
        for one in page.objects:
            one.ClearField("changed_unix_ms")
        return page

    def unable(self, workers: Collection[str], name_of: Callable[[str], str]) -> Iterator[str]:
        """Who cannot read the source, while nobody can."""
        near = self.sources.nearness
        if any(near(self.job, self.spec.source, node) < inf for node in workers):
            return
        for node, error in self.sources.reach(self.spec.source).unable.items():
            yield f"{name_of(node)} cannot read the source: {error.message}"

    async def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()


def leave_unsettled(page: task_pb2.ListingPage, until_unix_ms: int) -> None:
    """What changed after a batch was closed is not of that batch, as if it were excluded."""
    settled = [one for one in page.objects if one.changed_unix_ms <= until_unix_ms]
    if len(settled) < len(page.objects):
        del page.objects[:]
        page.objects.extend(settled)
