"""A job's keepers as one ledger: a fact counts when a majority of them has it on disk.

Used by the steward, by workers, and by whoever answers questions about a job.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc

from multicloud.errors import McError, Retry
from multicloud.status import decode
from multicloud.v1 import task_pb2, task_pb2_grpc
from nodeagent.jobs.keeping import Keeping

CALL_S = 5.0
BACKOFF_S, BACKOFF_S_MAX = 0.1, 2.0
LINGER_S_MAX = 0.2


@dataclass(slots=True)
class Keepers:
    job: str
    nodes: Sequence[str]
    own: str
    keeping: Keeping  # Ours; used when this node is one of them.
    channel: Callable[[str], grpc.aio.Channel]  # To another node; McError when nobody knows how.
    rng: Random = field(default_factory=Random)

    @property
    def majority(self) -> int:
        return len(self.nodes) // 2 + 1

    async def append(
        self, facts: Sequence[task_pb2.Fact], *, epoch: int = 0, within_s: float = 60.0
    ) -> None:
        """Returns when a majority has them. SUPERSEDED when a plan is of an older epoch."""
        request = task_pb2.AppendFactsRequest(job=self.job, epoch=epoch, facts=facts)
        await self._majority(lambda node: self._append(node, request), within_s, "write to")

    async def open_epoch(self, epoch: int, steward: str, within_s: float = 10.0) -> Sequence[str]:
        """From now on no majority takes a plan of an older epoch. Who has opened it."""
        request = task_pb2.OpenEpochRequest(job=self.job, epoch=epoch, steward=steward)
        opened = await self._majority(lambda node: self._opened(node, request), within_s, "open")
        return list(opened)

    async def known(self, nodes: Sequence[str] | None = None) -> list[task_pb2.Fact]:
        """Every fact that those keepers have, or that a majority has; each once."""
        reached = await self._majority(self._all_of, 30.0, "read", nodes)
        found: dict[str, task_pb2.Fact] = {}
        for facts in reached.values():
            for fact in facts:
                old = found.get(fact.id)
                if old is None or fact.epoch > old.epoch:
                    found[fact.id] = fact
        return list(found.values())

    # --- one keeper

    async def _append(self, node: str, request: task_pb2.AppendFactsRequest) -> None:
        if node == self.own:
            await self.keeping.append(request.job, request.epoch, request.facts)
            return
        await self._call(node, lambda stub: stub.AppendFacts(request, timeout=CALL_S))

    async def _opened(self, node: str, request: task_pb2.OpenEpochRequest) -> None:
        if node == self.own:
            await self.keeping.open_epoch(request.job, request.epoch, request.steward)
            return
        await self._call(node, lambda stub: stub.OpenEpoch(request, timeout=CALL_S))

    async def _all_of(self, node: str) -> list[task_pb2.Fact]:
        return [fact async for fact in self.facts_of(node)]

    async def facts_of(self, node: str) -> AsyncIterator[task_pb2.Fact]:
        """All facts of one keeper, as they were written there."""
        after = 0
        if node == self.own:
            while rows := await self.keeping.read(self.job, after):
                after = rows[-1][0]
                for _, fact in rows:
                    yield fact
            return
        request = task_pb2.ReadFactsRequest(job=self.job)
        try:
            stub = task_pb2_grpc.LedgerServiceStub(self.channel(node))
            async for answer in stub.ReadFacts(request, timeout=30.0):
                yield answer.fact
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error

    async def _call(self, node: str, ask: Callable[[Any], Any]) -> Any:
        try:
            return await ask(task_pb2_grpc.LedgerServiceStub(self.channel(node)))
        except grpc.aio.AioRpcError as error:
            raise decode(error, node) from error

    # --- all of them

    async def _majority(
        self,
        ask: Callable[[str], Coroutine[Any, Any, Any]],
        within_s: float,
        what: str,
        nodes: Sequence[str] | None = None,
    ) -> Mapping[str, Any]:
        """Asks all until a majority has answered, and leaves the others as long again."""
        wanted = nodes or self.nodes
        needed = len(wanted) if nodes else self.majority
        answers: dict[str, Any] = {}
        failures: dict[str, McError] = {}
        enough = asyncio.Event()

        async def one(node: str) -> None:
            wait_s = BACKOFF_S
            while True:
                try:
                    answers[node] = await ask(node)
                except McError as error:
                    failures[node] = error
                    if error.row.retry is Retry.NEVER and error.reason != "NODE_UNKNOWN":
                        enough.set()
                        return
                    await asyncio.sleep(self.rng.uniform(0, wait_s))
                    wait_s = min(wait_s * 2, BACKOFF_S_MAX)
                    continue
                failures.pop(node, None)
                if len(answers) >= needed:
                    enough.set()
                return

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(node)) for node in wanted]
            began_s = asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await enough.wait()
            took_s = asyncio.get_running_loop().time() - began_s
            if len(answers) >= needed:
                await asyncio.wait(tasks, timeout=min(took_s, LINGER_S_MAX))
            for task in tasks:
                task.cancel()
        if len(answers) >= needed:
            return answers
        raise self._failed(failures, len(answers), needed, what)

    def _failed(
        self, failures: Mapping[str, McError], reached: int, needed: int, what: str
    ) -> McError:
        refused = next((e for e in failures.values() if e.row.retry is Retry.NEVER), None)
        if refused is not None and refused.reason != "NODE_UNKNOWN":
            return refused
        why = "; ".join(f"{node}: {error.message}" for node, error in sorted(failures.items()))
        said = (
            f"{reached} of {len(self.nodes)} keepers of job {self.job} could be asked to {what} "
            f"its ledger, {needed} are needed ({why or 'no answer in time'})"
        )
        return McError(
            "UNREACHABLE", said, next="start the nodes that are away; the job goes on then"
        )
