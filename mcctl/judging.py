"""Judges the audit logs of a cluster: each log's own chain, and against heads that others hold.

Heads are collected before any log is read, so an honest log always reaches them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from identity.chain import Verifier
from identity.heads import compare_heads, verify_head
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead, TrustBundle

NODES_AT_ONCE = 4


class Logs(Protocol):
    """Where logs and heads come from: any node answers for every other."""

    async def heads(self, node: str) -> Sequence[AuditHead]: ...

    def read(self, node: str) -> AsyncIterator[Sequence[str]]: ...


@dataclass(frozen=True, slots=True)
class NodeName:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one node's log."""

    node: str
    id: str
    ok: bool
    records: int
    heads: int  # Of it, held by others, that were compared.
    problem: (
        str  # "edited at 7: …", "cut after 6: …", "replaced from 7: …"; or why it was not read.
    )
    reachable: bool

    @property
    def damaged(self) -> bool:
        return self.reachable and not self.ok


@dataclass(frozen=True, slots=True)
class Judgement:
    verdicts: tuple[Verdict, ...]
    silent: tuple[str, ...]  # Nodes whose heads could not be asked for.
    refused: tuple[str, ...]  # Why heads did not count: somebody invented them.


async def judge(
    logs: Logs, everybody: Sequence[NodeName], chosen: Sequence[NodeName], trust: TrustBundle
) -> Judgement:
    """The logs of `chosen`, against the heads that `everybody` holds."""
    gate = asyncio.Semaphore(NODES_AT_ONCE)

    async def heads_at(node: NodeName) -> Sequence[AuditHead] | McError:
        async with gate:
            try:
                return await logs.heads(node.id)
            except McError as error:
                return error

    answers = await asyncio.gather(*(heads_at(node) for node in everybody))
    silent = [n.name for n, a in zip(everybody, answers, strict=True) if isinstance(a, McError)]
    told = [
        (node, head)
        for node, answer in zip(everybody, answers, strict=True)
        if not isinstance(answer, McError)
        for head in answer
        if head.node != node.id  # What a log's owner says of itself proves nothing.
    ]
    good, refused = _verified(told, trust)

    async def judged(node: NodeName) -> Verdict:
        async with gate:
            return await _judge_one(logs, node, [h for h in good if h.node == node.id])

    verdicts = await asyncio.gather(*(judged(node) for node in chosen))
    return Judgement(tuple(verdicts), tuple(silent), tuple(refused))


def _verified(
    told: Sequence[tuple[NodeName, AuditHead]], trust: TrustBundle
) -> tuple[list[AuditHead], list[str]]:
    good: dict[tuple[str, int, bytes], AuditHead] = {}
    refused = []
    for holder, head in told:
        key = (head.node, head.sequence, head.hash)
        if key in good:
            continue
        try:
            verify_head(head, trust)
        except McError as error:
            refused.append(f"{holder.name} holds a head that does not count: {error.message}")
        else:
            good[key] = head
    return list(good.values()), refused


async def _judge_one(logs: Logs, node: NodeName, heads: Sequence[AuditHead]) -> Verdict:
    chain = Verifier(wanted={head.sequence for head in heads})
    try:
        async for lines in logs.read(node.id):
            if not all(chain.feed(line) for line in lines):
                break
    except McError as error:
        return Verdict(node.name, node.id, False, 0, 0, error.message, reachable=False)
    found = compare_heads(chain.result(), heads)
    ok = found.kind == "ok"
    return Verdict(node.name, node.id, ok, found.records, found.heads, str(found), reachable=True)
