"""Sources that any node reads by itself, if it may: buckets by this node's credentials, and what
web servers give to everybody.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from multicloud.errors import McError
from multicloud.v1 import source_pb2
from nodeagent.clouds.contract import Clouds
from nodeagent.jobs.contract import Source
from nodeagent.jobs.sources.buckets import BucketSource
from nodeagent.jobs.sources.nearest import place_of
from nodeagent.jobs.sources.uris import CLOUDS, parse
from nodeagent.jobs.sources.web.making import WebSources

_log = structlog.stdlib.get_logger(__name__)
GOOD_S, BAD_S = 60.0, 4.0  # How long an answer stands. Grants come and go.
PROBE_S = 4.0  # Others wait for the answer.
KEPT_MAX = 256


class Probed(Source, Protocol):
    async def probe(self) -> None:
        """Raises what a job would be refused."""
        ...


@dataclass(slots=True)
class _Answer:
    said: source_pb2.FindSourceResponse = field(default_factory=source_pb2.FindSourceResponse)
    until_s: float = float("-inf")
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class DirectSources:
    node: str  # This node's name, for people.
    clouds: Clouds | None  # None: this node has none.
    web: WebSources
    clock_s: Callable[[], float] = time.monotonic
    _answers: OrderedDict[str, _Answer] = field(default_factory=OrderedDict)

    async def open(self, ref: source_pb2.SourceRef) -> Probed:
        """Raises why it cannot be read, as far as that is known before anything is asked."""
        name = parse(ref.source)
        if name.kind not in CLOUDS:
            return self.web.open(name, ref)
        if self.clouds is None:
            said = f"{self.node} has no libraries for clouds"
            raise McError("EXTRA_MISSING", said, next="install multicloud[node,clouds] there")
        return await BucketSource.opened(self.clouds, name, tuple(ref.include), tuple(ref.exclude))

    async def found(self, ref: source_pb2.SourceRef) -> source_pb2.FindSourceResponse:
        """Whether this node can list and read it: tried out, not guessed."""
        answer = self._answers.setdefault(ref.source, _Answer())
        self._answers.move_to_end(ref.source)
        if len(self._answers) > KEPT_MAX:
            self._answers.popitem(last=False)
        async with answer.turn:
            if self.clock_s() >= answer.until_s:
                before, answer.said = answer.said, await self._tried(ref)
                good = answer.said.here
                answer.until_s = self.clock_s() + (GOOD_S if good else BAD_S)
                if not good and answer.said.message != before.message:
                    why = answer.said.message
                    _log.warning("source_unreadable_here", source=ref.source, why=why)
            return answer.said

    def doubt(self, uri: str) -> None:
        """A read was refused: the next who asks gets a new answer."""
        if answer := self._answers.get(uri):
            answer.until_s = float("-inf")

    def forget(self) -> None:
        """Every answer is found out anew."""
        self._answers.clear()

    async def _tried(self, ref: source_pb2.SourceRef) -> source_pb2.FindSourceResponse:
        name = parse(ref.source)
        try:
            async with asyncio.timeout(PROBE_S):
                source = await self.open(ref)
                await source.probe()
                region = source.bucket.region if isinstance(source, BucketSource) else ""
                await source.close()
        except TimeoutError:
            said = f"{ref.source} did not answer within {PROBE_S:g} s"
            return source_pb2.FindSourceResponse(reason="UNREACHABLE", message=said)
        except McError as error:
            return source_pb2.FindSourceResponse(reason=error.reason, message=error.message)
        return source_pb2.FindSourceResponse(here=True, place=place_of(name.kind, region))
