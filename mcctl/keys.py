"""`mcctl cluster issue-key`, `keys`, `revoke-key`: keys of the S3 endpoint, for tools without
certificates.
"""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mcctl import reach, show
from mcctl.show import Cell, Table
from multicloud.client import PAGE_SIZE, Client
from multicloud.errors import McError
from multicloud.v1 import access_pb2
from multicloud.v1.access_pb2_grpc import AccessServiceStub

DAY_S = 86400


async def issue(name: str, role: str, datasets: str, days: float) -> None:
    request = access_pb2.IssueKeyRequest(
        request_id=uuid4().hex,
        name=name,
        role=role,
        datasets=datasets,
        end_unix_ms=int((time.time() + days * DAY_S) * 1000),
    )
    async with reach.client() as client:
        answer = await client.stub(AccessServiceStub).IssueKey(request)
    key = answer.key
    lines = [
        f"aws_access_key_id     = {key.id}",
        f"aws_secret_access_key = {answer.secret}",
        f"{key.name} ({key.role}) of datasets {key.datasets} until {_date(key.end_unix_ms)};"
        " keep the secret, it is not shown again",
    ]
    show.emit(_fields(key) | {"secret": answer.secret}, "\n".join(lines))
    show.next_step(f"mcctl cluster revoke-key {key.id} ends it")


async def show_all() -> None:
    async with reach.client() as client:
        found = [_fields(key) async for key in _each(client)]
    styles = {"counts": "green", "expired": "dim", "revoked": "yellow"}
    rows: list[list[str | Cell]] = [
        [
            one["name"],
            one["id"],
            one["role"],
            one["datasets"],
            one["end_time"],
            Cell(one["state"], styles[one["state"]]),
        ]
        for one in found
    ]
    heads = ("NAME", "KEY", "ROLE", "DATASETS", "UNTIL", "STATE")
    show.emit(found, Table(heads, rows) if rows else "no keys yet")


async def _each(client: Client) -> AsyncIterator[access_pb2.AccessKey]:
    request = access_pb2.ListKeysRequest(page_size=PAGE_SIZE)
    while True:
        page = await client.stub(AccessServiceStub).ListKeys(request)
        for key in page.keys:
            yield key
        request.page_token = page.next_page_token
        if not request.page_token:
            return


async def revoke(which: str) -> int:
    async with reach.client() as client:
        wanted = [
            key
            async for key in _each(client)
            if which == key.id or (which == key.name and not key.revoked_unix_ms)
        ]
        if not wanted:
            said = f"there is no key {which!r} that counts"
            raise McError("NOT_FOUND", said, next="mcctl cluster keys")
        named = ", ".join(f"{key.id} of {key.name}" for key in wanted)
        if not show.confirm(f"Revoke {named} for ever?"):
            show.note("nothing was revoked")
            return 1
        stub = client.stub(AccessServiceStub)
        ended = [
            (await stub.RevokeKey(access_pb2.RevokeKeyRequest(id=key.id))).key for key in wanted
        ]
    show.emit([_fields(key) for key in ended], f"{named} revoked")
    return 0


def _fields(key: access_pb2.AccessKey) -> dict[str, Any]:
    ended = key.end_unix_ms < time.time() * 1000
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "datasets": key.datasets,
        "created": _date(key.created_unix_ms),
        "end_time": _date(key.end_unix_ms),
        "state": "revoked" if key.revoked_unix_ms else "expired" if ended else "counts",
    }


def _date(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
