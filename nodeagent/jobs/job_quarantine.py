"""The records that a job put aside, read from the chunks that its results name, page by page."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from multicloud.errors import FieldFault, McError
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.rpc.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

Opened = Callable[[records_pb2.JobHeader, task_pb2.SealedChunk], Awaitable[bytes]]


async def quarantined(
    header: records_pb2.JobHeader,
    results: Sequence[task_pb2.TaskResult],
    opened: Opened,
    page_size: int,
    page_token: str,
) -> job_pb2.ListQuarantineResponse:
    """A token names a chunk and a line of it; results come in the same order every time."""
    size = min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    chunks = [result.chunks[place] for result in results for place in result.quarantine]
    at, line = _place(page_token)
    found: list[job_pb2.QuarantinedRecord] = []
    while at < len(chunks):
        lines = (await opened(header, chunks[at])).splitlines()
        for text in lines[line:]:
            if len(found) == size:
                token = base64.urlsafe_b64encode(f"{at}.{line}".encode()).decode()
                return job_pb2.ListQuarantineResponse(records=found, next_page_token=token)
            found.append(_record(json.loads(text)))
            line += 1
        at, line = at + 1, 0
    return job_pb2.ListQuarantineResponse(records=found)


def _record(told: dict[str, Any]) -> job_pb2.QuarantinedRecord:
    plain, coded = told.get("record", ""), told.get("record_base64")
    return job_pb2.QuarantinedRecord(
        path=told["path"],
        offset_bytes=told["offset"],
        step=told["step"],
        reason=told["reason"],
        record=plain.encode() if coded is None else base64.b64decode(coded),
    )


def _place(token: str) -> tuple[int, int]:
    if not token:
        return 0, 0
    try:
        chunk, _, line = base64.urlsafe_b64decode(token.encode()).decode().partition(".")
        return max(0, int(chunk)), max(0, int(line))
    except (binascii.Error, ValueError) as error:
        fault = FieldFault("page_token", "take it from next_page_token of the last answer")
        raise McError("BAD_REQUEST", "page_token is not one of ours", faults=[fault]) from error
