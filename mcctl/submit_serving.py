"""Files of this machine while a job needs them, beside whoever follows the job."""

import asyncio
from collections.abc import Awaitable, Callable

from mcctl import reach
from mcctl.jobs_follow import Followed, Until, follow
from mcctl.sources import Serving, serve
from mcctl.submit_options import Origin
from multicloud.v1 import job_pb2
from nodeagent.memory import raise_malloc_thresholds

# What ends the serving may be the job's end, which is heard on another stream.
HEARD_S_MAX = 5.0


async def followed_and_served(
    job: job_pb2.Job, source: Origin, until: Until, followed: Followed
) -> job_pb2.Job:
    """The job as soon as it is so; until then nodes that ask are given what they ask for."""
    if source.folder is None:
        return await follow(job.id, until, followed, new=True)
    raise_malloc_thresholds()  # Pieces of files come and go all the time.
    async with (
        reach.client() as client,
        serve(
            client,
            job.id,
            source.folder,
            uri=source.uri,
            include=job.spec.include,
            exclude=job.spec.exclude,
            bytes_per_s_max=job.spec.bandwidth_bytes_per_s_max,
        ) as serving,
    ):
        following = follow(job.id, until, followed, new=True, also=_problem(serving))
        return await _beside(following, serving, followed)


async def _beside(
    following: Awaitable[job_pb2.Job], serving: Serving, followed: Followed
) -> job_pb2.Job:
    """What ends the serving for good ends the command, while the job still needs it."""
    try:
        async with asyncio.TaskGroup() as group:
            guard = group.create_task(_guard(serving, followed))
            found = await following
            guard.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return found


async def _guard(serving: Serving, followed: Followed) -> None:
    await serving.ended.wait()
    await asyncio.sleep(HEARD_S_MAX)
    needed = followed.job is None or not followed.job.source_done
    if serving.failure is not None and needed:
        raise serving.failure


def _problem(serving: Serving) -> Callable[[job_pb2.Job], str]:
    return lambda job: "" if job.source_done else serving.problem
