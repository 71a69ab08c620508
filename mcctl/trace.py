"""`mcctl trace`: what became of a chunk, from its source to the last disk, and how long it took."""

import webbrowser
from typing import Annotated

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.jobs import JobId
from mcctl.trace_show import fields, screen
from multicloud.errors import McError
from multicloud.v1 import insight_pb2
from multicloud.v1.insight_pb2_grpc import InsightServiceStub

HASH_CHARS = 64
TRACE_S_MAX = 15.0


def trace(
    job: JobId,
    chunk: Annotated[
        str,
        typer.Option(
            "--chunk", metavar="N|ID", help="One chunk: as the receipt counts, or its id."
        ),
    ] = "",
    slowest: Annotated[
        int, typer.Option("--slowest", metavar="N", min=0, max=64, help="So many slowest chunks.")
    ] = 0,
    failed: Annotated[bool, typer.Option("--failed", help="Attempts that failed.")] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Print, and on a terminal open, the page of Jaeger.")
    ] = False,
) -> int:
    """A chunk's way through the nodes: each stage, hop and disk with its time; waits are hatched.

    Without options: the job's own trace, and its slowest chunks. Nodes remember the last few
    hundred chunks, and those that failed or were slow longer; exit 5 when none does any more.
    """
    if sum((bool(chunk), bool(slowest), failed)) > 1:
        said = "--chunk, --slowest and --failed ask for different things"
        raise McError("USAGE", said, next="give one of them")
    request = insight_pb2.GetTraceRequest(job=job, slowest=slowest, failed=failed)
    _of_chunk(request, chunk)
    found, names = run_async(_asked(request))
    if open_:
        return _open(found)
    if not found.spans and not found.chunks:
        return _nothing(job, failed=failed)
    show.emit(fields(found), screen(found, names))
    if not chunk and not slowest and not failed:
        show.next_step(f"`mcctl trace {job} --chunk N` draws a chunk, --slowest 3 the slowest")
    return 0


def _of_chunk(request: insight_pb2.GetTraceRequest, chunk: str) -> None:
    if chunk.isdecimal() and len(chunk) < HASH_CHARS:
        request.index = int(chunk)
    elif chunk:
        try:
            request.chunk_id = bytes.fromhex(chunk)
        except ValueError:
            said = f"--chunk {chunk!r} is neither a number nor an id of {HASH_CHARS} hex digits"
            raise McError("USAGE", said) from None


async def _asked(
    request: insight_pb2.GetTraceRequest,
) -> tuple[insight_pb2.GetTraceResponse, dict[str, str]]:
    async with reach.client() as client:
        stub = client.stub(InsightServiceStub)
        found = await stub.GetTrace(request, timeout=TRACE_S_MAX)
        nodes = {one.node.facts.id: one.node.facts.name for one in await reach.nodes(client)}
        return found, nodes


def _nothing(job: str, *, failed: bool) -> int:
    if failed:
        show.emit(fields(insight_pb2.GetTraceResponse()), f"no node remembers a failure of {job}")
        return 0
    raise McError(
        "NOT_FOUND",
        f"no node remembers a span of this trace of job {job} any more",
        next=f"`mcctl trace {job}` names what is there; a collector keeps more: docs, Traces",
    )


def _open(found: insight_pb2.GetTraceResponse) -> int:
    if not found.ui:
        raise McError(
            "FAILED",
            "the node that answers does not know where people look at traces",
            next='set telemetry.traces_ui = "http://HOST:16686" and reload it',
        )
    drawn = [span.trace_id for span in found.spans]
    ids = list(dict.fromkeys([*(c.trace_id for c in found.chunks if not drawn), *drawn]))
    links = [f"{found.ui.rstrip('/')}/trace/{trace_id}" for trace_id in ids if trace_id]
    show.emit([{"link": link} for link in links], links)
    if links and show.on_terminal():
        webbrowser.open(links[0])
    return 0
