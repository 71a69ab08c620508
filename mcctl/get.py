"""`mcctl get` and `mcctl cat`: a version's files as they were, on this machine."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.datasets import Where, files, shown, split, stub
from mcctl.placing_files import Target, Tree
from mcctl.show import Block
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.streaming import FILES_BYTES_MAX, FILES_MAX, read, read_several
from multicloud.v1 import read_pb2
from nodeagent.jobs.sources.globs import Globs

AT_ONCE = 8  # Files, or goes of small ones.
SMALL_BYTES = 64 << 10  # Files up to here are fetched together.
REDRAW_S = 0.2
SHOWN_MAX = 10

Files = list[read_pb2.DatasetFile]


def get(
    where: Where,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is not there.")],
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these paths; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Not these paths; repeatable.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in DIR that differ.")
    ] = False,
) -> int:
    """Bring the files of a version into DIR, bit for bit, with their modes and times.

    Run it again to go on: what is there and right is not fetched again. A file in DIR that differs
    is left and named (exit 1), unless you say --overwrite.
    """
    name, version = split(where)
    globs = Globs(include or (), exclude or ())
    value = run_async(_get(name, version, Tree(folder, overwrite), globs))
    show.emit(value, _screen(value))
    return 1 if value["differing"] else 0


def cat(
    where: Where,
    path: Annotated[str, typer.Argument(help="Of a file, as `mcctl ls` shows it.")],
) -> None:
    """Write the bytes of one file to stdout."""
    name, version = split(where)
    run_async(_cat(name, version, path.encode("utf-8", "surrogateescape")))


async def _cat(name: str, version: str, path: bytes) -> None:
    async with reach.client() as client:
        request = read_pb2.GetVersionRequest(name=name, version=version)
        version = (await stub(client).GetVersion(request)).version.version
        first = files(client, name, version, path, page_size=1)
        file = await anext(first, read_pb2.DatasetFile())
        if file.path != path:
            said = f"{name}@{version} has no file {shown(path)}"
            raise McError("NOT_FOUND", said, next=f"mcctl ls {name}@{version}")
        async for data in read(client, name, version, path, 0, file.bytes):
            await asyncio.to_thread(sys.stdout.buffer.write, data)
        sys.stdout.buffer.flush()


async def _get(name: str, version: str, tree: Tree, globs: Globs) -> dict[str, Any]:
    async with reach.client() as client:
        request = read_pb2.GetVersionRequest(name=name, version=version)
        found = (await stub(client).GetVersion(request)).version
        getting = Getting(client, found, tree, globs)
        await getting.run()
    return getting.value()


@dataclass(slots=True)
class _Looked:
    """What was found in the folder of several files."""

    already: int = 0
    bytes_there: int = 0
    differing: list[str] = field(default_factory=list)
    missing: list[tuple[read_pb2.DatasetFile, Target]] = field(default_factory=list)


class Getting:
    def __init__(
        self, client: Client, version: read_pb2.DatasetVersion, tree: Tree, globs: Globs
    ) -> None:
        self._client, self._version, self._tree, self._globs = client, version, tree, globs
        self._waiting: asyncio.Queue[Files | None] = asyncio.Queue(4 * AT_ONCE)
        self._began_s = time.monotonic()
        self.files = self.fetched = self.already = 0
        self.bytes_fetched = self.bytes_there = 0
        self.differing: list[str] = []

    async def run(self) -> None:
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                drawing = None
                if show.on_terminal(stderr=False):
                    draw = stack.enter_context(show.redrawn())
                    drawing = group.create_task(self._draw(draw))
                workers = [group.create_task(self._work()) for _ in range(AT_ONCE)]
                await self._list()
                await asyncio.wait(workers)
                if drawing:
                    drawing.cancel()
        except BaseExceptionGroup as failed:
            raise _first(failed) from failed

    async def _list(self) -> None:
        small: Files = []
        small_bytes = 0
        async for file in files(self._client, self._version.name, self._version.version):
            if not _wanted(self._globs, file.path):
                continue
            if file.bytes > SMALL_BYTES:
                await self._waiting.put([file])
                continue
            if len(small) == FILES_MAX or small_bytes + file.bytes > FILES_BYTES_MAX:
                await self._waiting.put(small)
                small, small_bytes = [], 0
            small.append(file)
            small_bytes += file.bytes
        if small:
            await self._waiting.put(small)
        for _ in range(AT_ONCE):
            await self._waiting.put(None)

    async def _work(self) -> None:
        while (some := await self._waiting.get()) is not None:
            self.files += len(some)
            if len(some) == 1:
                await self._file(some[0])
            else:
                await self._together(some)

    async def _together(self, some: Files) -> None:
        """Small ones: looked at, fetched and written in one go each."""
        looked = await asyncio.to_thread(self._look, some)
        self.already += looked.already
        self.bytes_there += looked.bytes_there
        self.differing += looked.differing
        missing = looked.missing
        if missing:
            wanted, paths = self._version, [file.path for file, _ in missing]
            data = await read_several(self._client, wanted.name, wanted.version, paths)
            targets = [target for _, target in missing]
            await asyncio.to_thread(_put, targets, data)
            self.fetched += len(missing)
            self.bytes_fetched += sum(map(len, data))

    def _look(self, some: Files) -> "_Looked":
        found = _Looked()
        for file in some:
            target = self._tree.target(file)
            if target.is_right():
                found.already += 1
                found.bytes_there += file.bytes
                target.dress()
            elif target.differs:
                found.differing.append(shown(file.path))
            else:
                found.missing.append((file, target))
        return found

    async def _file(self, file: read_pb2.DatasetFile) -> None:
        target = await asyncio.to_thread(self._tree.target, file)
        if await asyncio.to_thread(target.is_right):
            self.already += 1
            self.bytes_there += file.bytes
            await asyncio.to_thread(target.dress)
            return
        if target.differs:
            self.differing.append(shown(file.path))
            return
        begin = await asyncio.to_thread(target.begin)
        self.bytes_there += begin
        try:
            await self._fetch(target, file, begin)
        finally:
            await asyncio.to_thread(target.close)
        self.fetched += 1

    async def _fetch(self, target: Target, file: read_pb2.DatasetFile, begin: int) -> None:
        if begin < file.bytes:
            wanted, left = self._version, file.bytes - begin
            pieces = read(self._client, wanted.name, wanted.version, file.path, begin, left)
            async for data in pieces:
                await asyncio.to_thread(target.write, data)
                self.bytes_fetched += len(data)
        await asyncio.to_thread(target.finish)

    async def _draw(self, draw: Any) -> None:
        while True:
            draw([self._line()])
            await asyncio.sleep(REDRAW_S)

    def _line(self) -> Block:
        seconds = max(0.001, time.monotonic() - self._began_s)
        done, whole = self.bytes_fetched + self.bytes_there, self._version.bytes
        rate = human(int(self.bytes_fetched / seconds))
        return (
            f"{self.fetched + self.already} of {self._version.files} files, "
            f"{human(done)} of {human(whole)}, {rate}/s"
        )

    def value(self) -> dict[str, Any]:
        return {
            "dataset": self._version.name,
            "version": self._version.version,
            "dir": str(self._tree.folder),
            "files": self.files,
            "fetched": self.fetched,
            "already": self.already,
            "bytes_fetched": self.bytes_fetched,
            "differing": sorted(self.differing),
            "seconds": round(time.monotonic() - self._began_s, 3),
        }


def _put(targets: Sequence[Target], data: Sequence[bytes]) -> None:
    for target, content in zip(targets, data, strict=True):
        target.begin(anew=True)
        try:
            target.write(content)
            target.finish()
        finally:
            target.close()


def _wanted(globs: Globs, path: bytes) -> bool:
    """As at submit: what is in an excluded folder is excluded."""
    slashes = (at for at, byte in enumerate(path) if byte == ord("/"))
    return globs.takes(path) and not any(globs.shuts(path[:at]) for at in slashes)


def _screen(value: dict[str, Any]) -> list[Block]:
    which = f"{value['dataset']}@{value['version']}"
    said = f"{value['fetched']} files of {which} are in {value['dir']}"
    if value["already"]:
        said += f", {value['already']} were there already"
    blocks: list[Block] = [said]
    differing = value["differing"]
    if differing:
        some = ", ".join(differing[:SHOWN_MAX]) + (" …" if len(differing) > SHOWN_MAX else "")
        blocks.append(f"{len(differing)} differ and were left: {some} (--overwrite replaces them)")
    return blocks


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    found: list[BaseException] = [failed]
    while isinstance(found[0], BaseExceptionGroup):
        found = [*found[0].exceptions, *found[1:]]
    return next((one for one in found if isinstance(one, McError)), found[0])
