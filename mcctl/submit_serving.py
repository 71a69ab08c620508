"""Files of this machine while a job needs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcctl.submit_options import Origin
from multicloud.errors import McError
from multicloud.v1 import job_pb2


@asynccontextmanager
async def serving(job: job_pb2.Job, source: Origin) -> AsyncIterator[None]:
    """Serves them inside of the block, where nodes cannot read the source themselves."""
    if source.folder is not None:
        raise McError(
            "UNSUPPORTED",
            f"the job {job.id} waits: this version serves no files of this machine",
            next=f"upgrade it, then `mcctl submit --resume {job.id}`",
        )
    yield
