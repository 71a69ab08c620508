"""What the pages ask of the cluster: with the operator's own identity, of whoever answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from identity.certificate import read_certificate
from mcctl import events, jobs, jobs_show, links, reach, rtt, status
from mcctl.tales import tale
from mcctl.web.drawing import drawn
from multicloud.client import Client
from multicloud.context import Context
from multicloud.errors import McError, Retry
from multicloud.v1 import admin_pb2, insight_pb2, job_pb2
from multicloud.v1.insight_pb2_grpc import InsightServiceStub
from multicloud.v1.job_pb2_grpc import JobServiceStub

NODES_IN_MATRIX_MAX = 24  # Beyond, the matrix is one of regions.
EVENTS_MAX = 500  # Of each node that are remembered, and of all that are told.
JOBS_MAX = 500
TRACE_S_MAX = 15.0
# What the nodes' own table of access lets these roles do; they judge each call themselves.
MAY = {
    "drain": {"operator", "admin"},
    "undrain": {"operator", "admin"},
    "cancel": {"submitter", "operator", "admin"},
}

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Held:
    """A client that is closed when it is not to be used any more, and nobody does."""

    client: Client
    users: int = 0
    retired: bool = False

    async def rid(self) -> None:
        if self.retired and not self.users:
            await self.client.__aexit__(None, None, None)


@dataclass(slots=True)
class Cluster:
    """Reads are asked once more, of another node, when the one that answered is gone."""

    context: Context
    make: Callable[[], Client]
    read_only: bool = False
    _held: _Held | None = None
    _dialling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _told: dict[str, list[insight_pb2.Event]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    async def close(self) -> None:
        if self._held is not None:
            self._held.retired = True
            await self._held.rid()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        async with self._dialling:
            if self._held is None or self._held.retired:
                client = self.make()
                await client.__aenter__()
                self._held = _Held(client)
            held = self._held
        held.users += 1
        try:
            yield held.client
        except McError as error:
            if error.row.retry is not Retry.NEVER:
                held.retired = True
            raise
        finally:
            held.users -= 1
            await held.rid()

    async def _read(self, work: Callable[[Client], Awaitable[Answer]]) -> Answer:
        try:
            async with self._client() as client:
                return await work(client)
        except McError as error:
            if error.row.retry is Retry.NEVER:
                raise
        async with self._client() as client:
            return await work(client)

    def me(self) -> dict[str, Any]:
        holder = read_certificate(self.context.certificate_pem)
        may = [] if self.read_only else [what for what, who in MAY.items() if who & holder.roles]
        return {
            "operator": holder.identity.name,
            "roles": sorted(holder.roles),
            "may": may,
            "cluster": self.context.cluster,
        }

    async def status(self) -> dict[str, Any]:
        found = await self._read(status.asked)
        self._names |= {node["id"]: node["name"] for node in found["nodes"]}
        word, sentence = status.verdict(found)
        return {**found, "verdict": {"word": word, "sentence": sentence}}

    async def nodes(self) -> list[dict[str, Any]]:
        return [one.fields for one in await self._read(reach.nodes)]

    async def node(self, node: str) -> dict[str, Any]:
        async def ask(client: Client) -> dict[str, Any]:
            seen = await reach.nodes(client)
            names = {one.node.facts.id: one.node.facts.name for one in seen}
            for one in seen:
                if node in (one.node.facts.id, one.node.facts.name):
                    return {
                        **one.fields,
                        **await links.links_of(client, one.node.facts.id, names),
                    }
            raise McError("NODE_UNKNOWN", f"no node is called {node!r}")

        return await self._read(ask)

    async def jobs(self) -> list[dict[str, Any]]:
        """The newest first."""
        found = await self._read(lambda client: jobs.listed(client, []))
        newest = sorted(found, key=lambda job: job.created_time, reverse=True)[:JOBS_MAX]
        return [jobs_show.fields(job) for job in newest]

    async def job(self, job: str) -> dict[str, Any]:
        return jobs_show.fields(await self._read(lambda client: jobs.got(client, job)))

    async def trace(self, request: insight_pb2.GetTraceRequest) -> dict[str, Any]:
        async def ask(client: Client) -> dict[str, Any]:
            stub = client.stub(InsightServiceStub)
            return drawn(await stub.GetTrace(request, timeout=TRACE_S_MAX), self._names)

        if not self._names:
            await self.status()
        return await self._read(ask)

    async def links(self) -> dict[str, Any]:
        """The matrix of round trips; of regions where nodes are too many to look at."""

        async def ask(client: Client) -> dict[str, Any]:
            seen = await reach.nodes(client)
            by_region = len(seen) > NODES_IN_MATRIX_MAX
            answer = await client.admin.GetRtt(admin_pb2.GetRttRequest(by_region=by_region))
            pairs = [rtt.pair_fields(pair) for pair in answer.pairs]
            return {"by": "region" if by_region else "node", "pairs": pairs}

        return await self._read(ask)

    async def events(self) -> dict[str, Any]:
        """The newest of all nodes, newest first; a node is asked for what it has not told yet."""

        async def ask(client: Client) -> dict[str, Any]:
            seen = await reach.nodes(client)
            self._names |= {one.node.facts.id: one.node.facts.name for one in seen}
            silent: list[dict[str, str]] = []

            async def hear(node: str) -> None:
                known = self._told.get(node, [])
                try:
                    news = await tale(client, node, known[-1].sequence if known else 0)
                except McError as error:
                    silent.append({"node": self._names.get(node, node), "why": error.message})
                else:
                    self._told[node] = [*known, *news][-EVENTS_MAX:]

            async with asyncio.TaskGroup() as group:
                for one in seen:
                    group.create_task(hear(one.node.facts.id))
            found = events.merged(self._told)[-EVENTS_MAX:]
            return {
                "events": [events.fields(event, self._names) for event in reversed(found)],
                "silent": silent,
            }

        return await self._read(ask)

    def _allowed(self, what: str) -> None:
        if what not in self.me()["may"]:
            who = ", ".join(sorted(MAY[what]))
            why = "this dashboard is read-only" if self.read_only else f"only {who} may {what}"
            raise McError("NOT_ALLOWED", why)

    async def drain(self, node: str) -> dict[str, Any]:
        self._allowed("drain")
        asked = admin_pb2.DrainNodeRequest(request_id=uuid4().hex, node=node)
        async with self._client() as client:
            await client.admin.DrainNode(asked)
        return {"done": f"{node} is being emptied"}

    async def undrain(self, node: str) -> dict[str, Any]:
        self._allowed("undrain")
        asked = admin_pb2.UndrainNodeRequest(request_id=uuid4().hex, node=node)
        async with self._client() as client:
            await client.admin.UndrainNode(asked)
        return {"done": f"data is placed on {node} again"}

    async def cancel(self, job: str) -> dict[str, Any]:
        self._allowed("cancel")
        asked = job_pb2.CancelJobRequest(request_id=uuid4().hex, job=job)
        async with self._client() as client:
            await client.stub(JobServiceStub).CancelJob(asked)
        return {"done": f"the job {job} is cancelled"}
