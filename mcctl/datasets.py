"""`mcctl datasets`, `ls`, `rm`, `undelete`: what versions there are, their files, and their end."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.show import Cell, Table
from mcctl.sizes import human
from multicloud.client import PAGE_SIZE, Client
from multicloud.errors import McError
from multicloud.v1 import read_pb2
from multicloud.v1.read_pb2_grpc import DatasetServiceStub

if TYPE_CHECKING:
    from multicloud.v1.read_pb2_grpc import DatasetServiceAsyncStub

READ_S = 120.0  # A first look into a large manifest.
Where = Annotated[str, typer.Argument(metavar="NAME[@V]", help="A dataset; its newest version.")]
Version = Annotated[str, typer.Argument(metavar="NAME@V", help="One version of a dataset.")]


def datasets(
    removed: Annotated[
        bool, typer.Option("--removed", help="Those also that `undelete` can bring back.")
    ] = False,
) -> None:
    """Every version of every dataset."""
    found = run_async(_datasets(removed))
    rows: list[list[str | Cell]] = [
        [
            one["name"],
            one["version"],
            str(one["files"]),
            str(one["chunks"]),
            human(one["bytes"]),
            one["created"],
            Cell("removed", "yellow") if one["removed"] else "",
        ]
        for one in found
    ]
    heads = ("NAME", "VERSION", ">FILES", ">CHUNKS", ">SIZE", "CREATED", "")
    show.emit(found, Table(heads, rows) if rows else "no datasets yet")
    if not rows:
        show.next_step("mcctl submit PATH --name NAME")


async def _datasets(removed: bool) -> list[dict[str, Any]]:
    found, token = [], ""
    async with reach.client() as client:
        while True:
            request = read_pb2.ListDatasetsRequest(
                page_size=PAGE_SIZE, page_token=token, show_removed=removed
            )
            page = await stub(client).ListDatasets(request)
            found += [version_fields(one) for one in page.versions]
            token = page.next_page_token
            if not token:
                return found


def ls(
    where: Where,
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help="Only paths that begin so.")
    ] = "",
) -> None:
    """The files of a version, by path."""
    name, version = split(where)
    found = run_async(_ls(name, version, prefix))
    rows = [[human(one["bytes"]), str(one["chunks"]), one["path"]] for one in found]
    show.emit(found, Table((">SIZE", ">CHUNKS", "PATH"), rows) if rows else "no such files")


async def _ls(name: str, version: str, prefix: str) -> list[dict[str, Any]]:
    async with reach.client() as client:
        begin = prefix.encode("utf-8", "surrogateescape")
        return [file_fields(one) async for one in files(client, name, version, begin)]


async def files(
    client: Client, name: str, version: str, prefix: bytes = b"", page_size: int = PAGE_SIZE
) -> AsyncGenerator[read_pb2.DatasetFile, None]:
    """Page by page."""
    token = ""
    while True:
        request = read_pb2.ListFilesRequest(
            name=name, version=version, prefix=prefix, page_size=page_size, page_token=token
        )
        page = await stub(client).ListFiles(request, timeout=READ_S)
        for one in page.files:
            yield one
        token = page.next_page_token
        if not token:
            return


def rm(
    version: Version,
    shred: Annotated[
        bool, typer.Option("--shred", help="Destroy its key: nobody reads it ever again.")
    ] = False,
) -> int:
    """Remove a version. `mcctl undelete` brings it back for a day; after --shred nothing does.

    Says what it frees, and asks first (-y does not).
    """
    name, number = split(version, whole=True)
    return run_async(_rm(name, number, shred))


async def _rm(name: str, version: str, shred: bool) -> int:
    request = read_pb2.RemoveVersionRequest(
        request_id=uuid4().hex, name=name, version=version, shred=shred, validate_only=True
    )
    async with reach.client() as client:
        freed = await stub(client).RemoveVersion(request, timeout=READ_S)
        size, which = human(freed.bytes_freed), f"{name}@{version}"
        what = f"Removing {which} frees {size} a copy, in {freed.chunks_freed} chunks"
        how = "nobody can ever read it again" if shred else "`mcctl undelete` works for 24 h"
        if not show.confirm(f"{what}; {how}. Go on?"):
            show.note("nothing was removed")
            return 1
        request.validate_only = False
        freed = await stub(client).RemoveVersion(request, timeout=READ_S)
    value = {
        "name": name,
        "version": version,
        "shredded": shred,
        "bytes_freed": freed.bytes_freed,
        "chunks_freed": freed.chunks_freed,
    }
    show.emit(value, f"{which} is {'shredded' if shred else 'removed'}")
    if not shred:
        show.next_step(f"mcctl undelete {which} takes it back for 24 h")
    return 0


def undelete(version: Version) -> None:
    """Take the removal of a version back, within 24 h."""
    name, number = split(version, whole=True)
    found = run_async(_undelete(name, number))
    show.emit(found, f"{version} stands again")


async def _undelete(name: str, version: str) -> dict[str, Any]:
    request = read_pb2.RestoreVersionRequest(request_id=uuid4().hex, name=name, version=version)
    async with reach.client() as client:
        return version_fields((await stub(client).RestoreVersion(request)).version)


def stub(client: Client) -> "DatasetServiceAsyncStub":
    return client.stub(DatasetServiceStub)


def split(where: str, *, whole: bool = False) -> tuple[str, str]:
    """NAME@V taken apart; without a version it is the newest one, where that will do."""
    name, _, version = where.partition("@")
    if not name or (whole and not version):
        form = "NAME@VERSION" if whole else "NAME or NAME@VERSION"
        raise McError("USAGE", f"{where!r} is not like {form}", next="mcctl datasets")
    return name, version


def version_fields(one: read_pb2.DatasetVersion) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "files": one.files,
        "chunks": one.chunks,
        "bytes": one.bytes,
        "created": one.created_time,
        "removed": one.removed,
    }


def file_fields(one: read_pb2.DatasetFile) -> dict[str, Any]:
    modified = one.modified_unix_ms
    return {
        "path": shown(one.path),
        "bytes": one.bytes,
        "chunks": one.chunks,
        "records": one.records,
        "modified": datetime.fromtimestamp(modified / 1000).astimezone().isoformat()
        if modified
        else None,
        "blake3": one.blake3.hex() or None,
        "origin": shown(one.origin) or None,
    }


def shown(path: bytes) -> str:
    """For people and JSON: bytes that are no UTF-8 stand as \\xNN."""
    return path.decode("utf-8", "backslashreplace")
