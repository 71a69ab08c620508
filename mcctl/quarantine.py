"""`mcctl quarantine`: the records that a job put aside, each with its reason, file and offset."""

import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs import JobId
from mcctl.show import Table
from multicloud.client import PAGE_SIZE
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from multicloud.v1.job_pb2_grpc import JobServiceStub

app = typer.Typer(no_args_is_help=True)


@app.command()
def ls(job: JobId) -> None:
    """Which records were put aside, where they stood, which step refused them, and why."""
    found = run_async(_all(job))
    rows = [[one["path"], str(one["offset"]), one["step"], one["reason"]] for one in found]
    table = Table(("PATH", ">OFFSET", "STEP", "WHY"), rows) if rows else "nothing was put aside"
    show.emit(found, table)


@app.command()
def get(
    job: JobId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file: a JSON object a line.")],
) -> None:
    """Write the records that were put aside into a new FILE, each with its reason.

    A record is text; one that is no text is base64, as `record_base64`.
    """
    try:
        out = file.open("x")
    except FileExistsError as error:
        raise McError("ALREADY_EXISTS", f"{file} is there already", next="name another") from error
    except OSError as error:
        raise McError("USAGE", f"{file} cannot be written: {error.strerror}") from error
    with out:
        count = run_async(_write(job, out.write))
    show.emit({"file": str(file), "records": count}, f"{count} records are in {file}")


async def _all(job: str) -> list[dict[str, Any]]:
    return [_place(one) async for one in _records(job)]


async def _write(job: str, write: Any) -> int:
    count = 0
    async for one in _records(job):
        write(json.dumps({**_place(one), **_record(one.record)}, ensure_ascii=False) + "\n")
        count += 1
    return count


async def _records(job: str) -> AsyncGenerator[job_pb2.QuarantinedRecord, None]:
    token = ""
    async with reach.client() as client:
        while True:
            request = job_pb2.ListQuarantineRequest(job=job, page_size=PAGE_SIZE, page_token=token)
            page = await client.stub(JobServiceStub).ListQuarantine(request)
            for record in page.records:
                yield record
            token = page.next_page_token
            if not token:
                return


def _place(one: job_pb2.QuarantinedRecord) -> dict[str, Any]:
    return {
        "path": one.path,
        "offset": one.offset_bytes,
        "step": one.step,
        "reason": one.reason,
    }


def _record(record: bytes) -> dict[str, str]:
    try:
        return {"record": record.decode()}
    except UnicodeDecodeError:
        return {"record_base64": b64encode(record).decode()}
