"""InsightService, as far as it looks back: any node answers for any, and for all."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import insight_pb2
from nodeagent.history.recorder import Recorder
from nodeagent.history.sampler import parted
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call
from nodeagent.rpc.roster import Peer

METRICS_MAX = 64
POINTS_MAX = 1000  # Of one series.
ALL_POINTS_MAX = 60_000  # In one answer; at 34 bytes each it stays under 4 MiB.
POINTS = 120
MARKS_MAX = 500
ASK_S = 3.0
Answer = insight_pb2.QueryHistoryResponse


class Others(Protocol):
    def there(self) -> Sequence[Peer]: ...
    def away(self) -> Sequence[Peer]:
        """Members that do not answer now."""
        ...


@dataclass(frozen=True, slots=True)
class HistoryInsight:
    own: NodeId
    recorder: Recorder
    passing: Passing
    others: Others

    async def query_history(self, request: insight_pb2.QueryHistoryRequest, call: Call) -> Answer:
        asked = _checked(request, int(time.time()))
        if call.caller.via is not None:
            return await asyncio.to_thread(self._own, asked)
        if asked.node:
            passed: Answer | None = await self.passing.answer(asked, Answer, call)
            if passed is not None:
                return passed
            return await asyncio.to_thread(self._own, asked)
        return await self._all(asked, call)

    async def _all(self, asked: insight_pb2.QueryHistoryRequest, call: Call) -> Answer:
        about = replace(call, deadline_s=min(ASK_S, call.remaining_s()), started_s=time.monotonic())
        peers = self.others.there()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._of(peer, asked, about)) for peer in peers]
            own = await asyncio.to_thread(self._own, asked)
        whole = Answer()
        for peer, answer in [(None, own), *zip(peers, (t.result() for t in waiting), strict=True)]:
            if answer is not None:
                whole.MergeFrom(answer)
            elif peer is not None:
                whole.unreachable_nodes.append(peer.name)
        whole.unreachable_nodes.extend(peer.name for peer in self.others.away())
        return _bounded(whole)

    async def _of(
        self, peer: Peer, asked: insight_pb2.QueryHistoryRequest, call: Call
    ) -> Answer | None:
        try:
            answer: Answer = await self.passing.peers.pass_on(peer, asked, Answer, call)
        except McError:
            return None  # It is named as one that did not answer.
        return answer

    def _own(self, asked: insight_pb2.QueryHistoryRequest) -> Answer:
        span = asked.from_unix_s, asked.until_unix_s
        found = self.recorder.read(list(asked.metrics), *span, asked.points_max)
        answer = Answer()
        for name, points in found.items():
            metric, labels = parted(name)
            one = answer.series.add(metric=metric, node=self.own, labels=labels)
            for at, spread in points:
                one.points.add(unix_s=at, min=spread.least, mean=spread.mean, max=spread.most)
        for mark in self.recorder.told(*span, MARKS_MAX):
            facts = dict(mark.facts)
            answer.marks.add(unix_ms=mark.unix_ms, node=self.own, name=mark.name, facts=facts)
        return _bounded(answer)


def _bounded(answer: Answer) -> Answer:
    if sum(len(one.points) for one in answer.series) > ALL_POINTS_MAX:
        said = f"all these series have more than {ALL_POINTS_MAX} points"
        raise McError("TOO_LARGE", said, next="name fewer metrics, one node, or fewer points")
    return answer


def _checked(
    request: insight_pb2.QueryHistoryRequest, now_s: int
) -> insight_pb2.QueryHistoryRequest:
    asked = insight_pb2.QueryHistoryRequest()
    asked.CopyFrom(request)
    asked.until_unix_s = asked.until_unix_s or now_s + 1
    asked.from_unix_s = asked.from_unix_s or asked.until_unix_s - 3600
    asked.points_max = asked.points_max or POINTS
    if not 0 < asked.from_unix_s < asked.until_unix_s:
        raise McError("BAD_REQUEST", "from_unix_s: must be before until_unix_s")
    if not 1 <= asked.points_max <= POINTS_MAX or len(asked.metrics) > METRICS_MAX:
        said = f"points_max: 1 to {POINTS_MAX}; metrics: at most {METRICS_MAX}"
        raise McError("BAD_REQUEST", said)
    return asked
