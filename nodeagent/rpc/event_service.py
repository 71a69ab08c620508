"""InsightService, as far as it tells what has happened on this node."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from multicloud.v1 import insight_pb2
from nodeagent.ops.events import EventLog
from nodeagent.rpc.call import Call


@dataclass(slots=True)
class EventInsight:
    own: str
    events: EventLog

    async def watch_events(
        self, request: insight_pb2.WatchEventsRequest, call: Call
    ) -> AsyncIterator[insight_pb2.WatchEventsResponse]:
        async for one in self.events.read(request.after_sequence, request.follow):
            event = insight_pb2.Event(
                sequence=one.sequence,
                unix_ms=one.unix_ms,
                node=self.own,
                name=one.name,
                facts=one.facts,
            )
            yield insight_pb2.WatchEventsResponse(event=event)
