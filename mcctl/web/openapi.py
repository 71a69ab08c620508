"""Every operation of the JSON API, and the OpenAPI document that is made of them."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from mcctl.web import shapes
from multicloud import __version__

API = "/api/v1"
TRACE_QUERY = {
    "chunk": "Of the chunk with this number, as the receipt counts.",
    "slowest": "Of so many of the slowest chunks, 64 at the most.",
    "failed": "Of attempts that failed.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    about: str
    shape: Any = None  # Of the answer; None: an object, or a stream.
    query: tuple[tuple[str, str], ...] = ()


OPERATIONS = (
    Operation("getMe", "GET", "/me", "Whom the nodes see, and what of this API they may.", shapes.Me),
    Operation("getStatus", "GET", "/status", "Is all data safe, and if not, what is not.", shapes.Status),
    Operation("listNodes", "GET", "/nodes", "Every node that is known.", list[shapes.Node]),
    Operation("getNode", "GET", "/nodes/{node}", "One node, and how it gets on with its peers.", shapes.NodeInFull),
    Operation("drainNode", "POST", "/nodes/{node}/drain", "Everything moves away from the node.", shapes.Done),
    Operation("undrainNode", "POST", "/nodes/{node}/undrain", "Data is placed there again.", shapes.Done),
    Operation("listJobs", "GET", "/jobs", "The newest 500 jobs.", list[shapes.Job]),
    Operation("getJob", "GET", "/jobs/{job}", "One job.", shapes.Job),
    Operation("getTrace", "GET", "/jobs/{job}/trace", "The job's own trace, or those asked for.", shapes.Trace, tuple(TRACE_QUERY.items())),
    Operation("cancelJob", "POST", "/jobs/{job}/cancel", "Ends the job for good.", shapes.Done),
    Operation("getLinks", "GET", "/links", "Round trips between nodes, or regions.", shapes.Links),
    Operation("listEvents", "GET", "/events", "The newest 500 events of all nodes.", shapes.Events),
    Operation("follow", "GET", "/live", "Events status, jobs, links and events: {answer, trouble, at_unix_s}, as each changes."),
    Operation("getOpenApi", "GET", "/openapi.json", "This document."),
)  # fmt: skip


@cache
def described() -> dict[str, Any]:
    shaped = [(one.id, "serialization", TypeAdapter(one.shape)) for one in OPERATIONS if one.shape]
    trouble = ("trouble", "serialization", TypeAdapter(shapes.Trouble))
    by_id, found = TypeAdapter.json_schemas(
        [*shaped, trouble],  # type: ignore[list-item]
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        schema = by_id.get((one.id, "serialization"), {"type": "object"})
        kind = "text/event-stream" if one.id == "follow" else "application/json"
        answers = {
            "200": _answer(one.about, kind, {"type": "string"} if one.id == "follow" else schema),
            "default": _answer(
                "What is wrong, and what to do next.",
                "application/json",
                by_id["trouble", "serialization"],
            ),
        }
        operation = {
            "operationId": one.id,
            "summary": one.about,
            "parameters": _parameters(one),
            "responses": answers,
        }
        paths.setdefault(f"{API}{one.path}", {})[one.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "The dashboard of multicloud", "version": __version__},
        "paths": paths,
        "components": {"schemas": found.get("$defs", {})},
    }


def _answer(about: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {kind: {"schema": schema}}}


def _parameters(one: Operation) -> list[dict[str, Any]]:
    named = re.findall(r"{(\w+)}", one.path)
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in named
    ]
    asked = [
        {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
        for name, about in one.query
    ]
    return [*inside, *asked]
