"""`mcctl watch` and `mcctl wait`: a job as it goes on, and its end as an exit code."""

from typing import Annotated

import typer

from mcctl import reach
from mcctl.jobs import JobId, got
from mcctl.jobs_follow import Followed, Until, acked, attended, ended, follow, safe, tell_end
from mcctl.submit_options import Strict
from multicloud.errors import McError

UNTIL: dict[str, Until] = {"": ended, "acked": acked, "safe": safe}


def watch(job: JobId, strict: Strict = False) -> int:
    """A job's stages as they go on, until it has ended. -o jsonl: an object for each change.

    Exit 6 when input was skipped or quarantined. Ctrl-C leaves the job alone.
    """
    return attended(lambda followed: _until(job, ended, followed, strict=strict))


def wait(
    job: JobId,
    for_: Annotated[
        str,
        typer.Option("--for", metavar="WHAT", help="acked or safe; else until it has ended."),
    ] = "",
    strict: Strict = False,
) -> int:
    """Wait until a job has ended, or until every byte of it is acked or safe.

    Exit 6 when input was skipped or quarantined. Ctrl-C leaves the job alone.
    """
    if for_ not in UNTIL:
        raise McError("USAGE", f"--for {for_!r} is nothing to wait for", next="acked or safe")
    return attended(lambda followed: _until(job, UNTIL[for_], followed, strict=strict))


async def _until(job: str, until: Until, followed: Followed, *, strict: bool) -> int:
    async with reach.client() as client:  # One that does not exist is said at once.
        followed.job = await got(client, job)
    found = await follow(job, until, followed)
    return tell_end(found, strict=strict, streamed=True)
