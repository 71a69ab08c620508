"""The server's routes: pages as they lie in the package, answers as JSON, news as a stream."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mcctl.web.asking import Cluster
from mcctl.web.door import Door, Keys
from mcctl.web.live import Live, told
from mcctl.web.openapi import API, OPERATIONS, described
from multicloud.errors import McError
from multicloud.v1 import insight_pb2

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SLOWEST_MAX = 64
HTTP_CODES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 403,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

Ask = Callable[[Request], Awaitable[Any]]


def make_app(cluster: Cluster, keys: Keys, live: Live) -> Starlette:
    asks: dict[str, Ask] = {
        "getMe": lambda request: _at_once(cluster.me()),
        "getStatus": lambda request: cluster.status(),
        "listNodes": lambda request: cluster.nodes(),
        "getNode": lambda request: cluster.node(request.path_params["node"]),
        "drainNode": lambda request: cluster.drain(request.path_params["node"]),
        "undrainNode": lambda request: cluster.undrain(request.path_params["node"]),
        "listJobs": lambda request: cluster.jobs(),
        "getJob": lambda request: cluster.job(request.path_params["job"]),
        "getTrace": lambda request: cluster.trace(_trace_of(request)),
        "cancelJob": lambda request: cluster.cancel(request.path_params["job"]),
        "getLinks": lambda request: cluster.links(),
        "listEvents": lambda request: cluster.events(),
        "getOpenApi": lambda request: _at_once(described()),
    }
    routes = [
        Route(f"{API}{one.path}", _answering(asks[one.id]), methods=[one.method])
        for one in OPERATIONS
        if one.id in asks
    ]

    async def news(request: Request) -> Response:
        if live.full():
            raise HTTPException(503, "too many pages are open: close one")
        return StreamingResponse(live.follow(), media_type="text/event-stream")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await cluster.close()

    return Starlette(
        routes=[
            *routes,
            Route(f"{API}/live", news),
            *(Route(path, _page(name)) for path, name in _pages()),
        ],
        middleware=[Middleware(Door, keys=keys)],
        lifespan=lifespan,
    )


async def _at_once(found: dict[str, Any]) -> dict[str, Any]:
    return found


def _answering(ask: Ask) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await ask(request))
        except McError as error:
            return JSONResponse(told(error), HTTP_CODES.get(error.row.code, 500))

    return answer


def _trace_of(request: Request) -> insight_pb2.GetTraceRequest:
    asked = request.query_params
    found = insight_pb2.GetTraceRequest(job=request.path_params["job"])
    if "chunk" in asked:
        found.index = _number("chunk", asked["chunk"], 2**63)
    elif "slowest" in asked:
        found.slowest = _number("slowest", asked["slowest"], SLOWEST_MAX)
    elif "failed" in asked:
        found.failed = True
    return found


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise McError("BAD_REQUEST", f"{name}={text[:40]!r} is no number up to {most}")
    return int(text)


def _pages() -> list[tuple[str, str]]:
    names = sorted(one.name for one in files("mcctl.web").joinpath("static").iterdir())
    return [("/", "index.html"), *((f"/static/{name}", name) for name in names)]


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    body = files("mcctl.web").joinpath("static", name).read_bytes()
    kind = TYPES[name.rpartition(".")[2]]

    async def page(request: Request) -> Response:
        return Response(body, media_type=kind)

    return page
