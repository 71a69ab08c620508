"""Serves a folder or file of this machine to a job, beside whatever the command does meanwhile.

async with serve(client, job, path, uri=job.spec.source) as serving:
    ...  # until Job.source_done: from then on the job needs this machine no more
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from mcctl.reach import nodes as known_nodes
from mcctl.reach import state_name
from mcctl.sources.link import Link
from mcctl.sources.pace import Pace
from multicloud.client import Client
from multicloud.errors import McError, Retry
from multicloud.v1 import source_pb2
from nodeagent.jobs.sources.files import FileSource
from nodeagent.jobs.sources.parts import PIECE_BYTES
from nodeagent.jobs.sources.uris import LAPTOP, file_uri, parse

READS_AT_ONCE = 4
PIECES_AT_ONCE = 16  # In memory, over all streams.
LOOK_S = 3.0  # How often nodes are looked for that came or came back.
AGAIN_S, AGAIN_S_MAX = 0.2, 5.0
# About one node alone, whatever the others say.
_OF_THE_NODE = frozenset({"UNSUPPORTED", "WRONG_PEER", "BUNDLE_INVALID", "NODE_UNKNOWN"})
_GONE = frozenset({"removed", "left", "dead"})


def local_uri(path: str | os.PathLike[str]) -> str:
    """What a job's source is called when it is here: the same path on the same host is the same."""
    return file_uri(socket.gethostname(), _absolute(path))


def local_path(uri: str) -> str | None:
    """The path of a laptop's source; None when it is no laptop's."""
    name = parse(uri)
    return os.fsdecode(name.path) if name.kind == LAPTOP else None


def _absolute(path: str | os.PathLike[str]) -> bytes:
    return os.fsencode(os.path.abspath(path))


@dataclass(slots=True)
class Serving:
    """What is going on, for whoever shows it."""

    client: Client
    job: str
    path: bytes
    uri: str
    pace: Pace
    threads: ThreadPoolExecutor
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PIECES_AT_ONCE))
    bytes_sent: int = 0
    relayed: tuple[str, ...] = ()  # Names of nodes that are served through others.
    problem: str = ""  # Why nobody can be reached just now.
    failure: McError | None = None  # Why it has ended, when nobody wanted that.
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    rng: Random = field(default_factory=Random)
    _links: dict[str, Link | None] = field(default_factory=dict)  # By node id; None: not open.
    _names: dict[str, str] = field(default_factory=dict)
    _sources: dict[tuple[tuple[str, ...], tuple[str, ...]], FileSource] = field(
        default_factory=dict
    )

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that have a stream."""
        return tuple(sorted(self._names[node] for node, link in self._links.items() if link))

    # --- what streams share

    def piece_bytes(self) -> int:
        return self.pace.piece_bytes(PIECE_BYTES)

    async def paced(self, size_bytes: int) -> None:
        await self.pace.take(size_bytes)

    def sent(self, size_bytes: int) -> None:
        self.bytes_sent += size_bytes

    async def source(self, include: tuple[str, ...], exclude: tuple[str, ...]) -> FileSource:
        # What was excluded here leaves this machine for nobody, whatever a node asks for.
        key = (self.include or include, self.exclude or exclude)
        if key not in self._sources:
            opened = await FileSource.opened(self.path, self.threads, *key)
            self._sources.setdefault(key, opened)
        return self._sources[key]

    # --- its life

    async def run(self) -> None:
        """Until it is cancelled, or every node says that there is nothing to be served."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._look(group)
                    await asyncio.sleep(LOOK_S)
        except BaseExceptionGroup as failed:
            first = failed.exceptions[0]
            if not isinstance(first, McError):
                raise first from failed
            self.failure = first
        finally:
            self.ended.set()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        try:
            seen = await known_nodes(self.client)
        except McError as error:
            self.problem = error.message
            return
        for one in seen:
            facts = one.node.facts
            self._names[facts.id] = facts.name or facts.id
            if facts.id not in self._links and state_name(one.node.state) not in _GONE:
                self._links[facts.id] = None
                group.create_task(self._keep(facts.id))
        self._share_out()

    async def _keep(self, node: str) -> None:
        """A stream to one node, again and again. Raises what concerns them all."""
        wait_s = AGAIN_S
        while True:
            hello = source_pb2.SourceHello(job=self.job, source=self.uri)
            link = Link(self, hello, lambda: self._opened(node, link))  # noqa: B023 - its own
            try:
                await link.run(await self.client.to(node))
            except McError as error:
                if error.row.retry is Retry.NEVER and error.reason not in _OF_THE_NODE:
                    raise
                if not any(self._links.values()):
                    self.problem = error.message
            if self._links[node] is link:
                wait_s = AGAIN_S
            self._links[node] = None
            self._share_out()
            await asyncio.sleep(self.rng.uniform(wait_s / 2, wait_s))
            wait_s = min(wait_s * 2, AGAIN_S_MAX)

    def _opened(self, node: str, link: Link) -> None:
        self._links[node] = link
        self.problem = ""
        self._share_out()

    def _share_out(self) -> None:
        """Nodes that cannot be reached from here are served through those that can."""
        reached = sorted(node for node, link in self._links.items() if link)
        others = sorted(node for node in self._links if node not in reached)
        self.relayed = tuple(self._names[node] for node in others) if reached else ()
        for place, node in enumerate(reached):
            link = self._links[node]
            if link is not None:
                link.serve_for(others[place :: len(reached)])


@asynccontextmanager
async def serve(
    client: Client,
    job: str,
    path: str | os.PathLike[str],
    *,
    uri: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    bytes_per_s_max: int = 0,
) -> AsyncIterator[Serving]:
    """SOURCE_AWAY or BAD_REQUEST at once when the path cannot be served. Within the block nodes
    come and go; look at `problem`, and at `failure` once `ended` is set.
    """
    threads = ThreadPoolExecutor(READS_AT_ONCE, "source")
    serving = Serving(
        client, job, _absolute(path), uri or local_uri(path), Pace(bytes_per_s_max), threads
    )
    serving.include, serving.exclude = tuple(include), tuple(exclude)
    try:
        await serving.source((), ())
        # No TaskGroup: what is raised within the block is to leave it as it is.
        life = asyncio.get_running_loop().create_task(serving.run())
        try:
            yield serving
        finally:
            life.cancel()
            with suppress(asyncio.CancelledError):
                await life
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
