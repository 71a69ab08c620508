"""How much there is of a source on this machine: no node can list it before its job is there."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from multicloud.v1 import job_pb2
from nodeagent.jobs.sources.files import FileSource

COUNT_S_MAX = 5.0  # A plan is wanted soon, also of millions of files.
PAGE_OBJECTS = 1000


async def counted(folder: Path | None, wanted: job_pb2.JobSpec) -> job_pb2.CountedSource | None:
    """All that would be read, or as much as can be counted in a moment. None: it is not here."""
    if folder is None:
        return None
    found = job_pb2.CountedSource()
    with ThreadPoolExecutor(1, "count") as threads:
        path = os.fsencode(folder)
        source = await FileSource.opened(path, threads, wanted.include, wanted.exclude)
        end_s, cursor = time.monotonic() + COUNT_S_MAX, ""
        try:
            while not found.complete and time.monotonic() < end_s:
                page = await source.page(cursor, PAGE_OBJECTS)
                cursor = page.cursor
                found.objects += len(page.objects)
                found.bytes += sum(one.size_bytes for one in page.objects)
                found.complete = page.last
        finally:
            await source.close()
    return found
