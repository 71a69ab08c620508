"""InsightService, as far as it tells of sinks: any node answers, from its copy of the registers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.v1 import insight_pb2
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import page
from nodeagent.sinks.standing import Record, Standing


@dataclass(slots=True)
class SinkInsight:
    standing: Standing
    waiting: Callable[[str, int], int | None]  # It blocks.

    async def list_sinks(
        self, request: insight_pb2.ListSinksRequest, call: Call
    ) -> insight_pb2.ListSinksResponse:
        found = sorted(self.standing.all(), key=_name)
        given, token = page(found, request.page_size, request.page_token, _name)
        sinks = [await self._shown(record) for record in given]
        return insight_pb2.ListSinksResponse(sinks=sinks, next_page_token=token)

    async def enable_sink(
        self, request: insight_pb2.EnableSinkRequest, call: Call
    ) -> insight_pb2.EnableSinkResponse:
        record = await self.standing.enable(request.name)
        return insight_pb2.EnableSinkResponse(sink=await self._shown(record))

    async def _shown(self, record: Record) -> insight_pb2.EventSink:
        return insight_pb2.EventSink(
            name=record.name,
            sender=record.sender,
            sent=record.sent,
            last_sent_unix_ms=record.last_sent_unix_ms,
            waiting=await asyncio.to_thread(self.waiting, record.name, record.since_unix_ms),
            disabled_why=record.disabled_why,
            failing_why=record.failing_why,
            failing_since_unix_ms=record.failing_since_unix_ms,
        )


def _name(record: Record) -> str:
    return record.name
