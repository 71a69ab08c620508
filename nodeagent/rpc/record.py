"""Turns judged calls into records of the audit log, and keeps its heads with peers."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from identity.certificate import parse, to_der
from identity.chain import Point, Record
from identity.heads import sign_head
from identity.store import NodeIdentity
from multicloud.errors import McError
from multicloud.v1 import peer_pb2
from nodeagent.ops.audit import AuditLog
from nodeagent.ops.audit_heads import HeadStore
from nodeagent.rpc.call import Call, Caller


@dataclass(slots=True)
class AuditRecord:
    """The audit log as the guard sees it."""

    log: AuditLog

    @property
    def healthy(self) -> bool:
        return self.log.healthy

    async def acting(self, call: Call, resource: str) -> None:
        await self.log.append(_record(call, resource, "STARTED"))

    def failed(self, call: Call, resource: str, error: McError) -> None:
        self.log.append_soon(_record(call, resource, error.row.code, error.reason))

    def denied(
        self, method: str, caller: Caller | None, peer: str, error: McError, trace_id: str
    ) -> None:
        self.log.append_soon(
            Record(
                unix_ms=_now_ms(),
                actor=caller.uri if caller else "",
                rpc=method,
                decision="denied",
                roles=tuple(sorted(caller.holder.roles)) if caller else (),
                serial=caller.holder.serial if caller else "",
                peer=peer,
                reason=error.reason,
                resource=error.message,
                outcome=error.row.code,
                trace_id=trace_id,
                via=caller.via.identity.uri if caller and caller.via else "",
            )
        )


def _record(call: Call, resource: str, outcome: str, reason: str = "") -> Record:
    caller = call.caller
    return Record(
        unix_ms=_now_ms(),
        actor=caller.uri,
        rpc=call.method,
        decision="allowed",
        roles=tuple(sorted(caller.holder.roles)),
        serial=caller.holder.serial,
        peer=caller.peer,
        resource=resource,
        reason=reason,
        outcome=outcome,
        trace_id=call.trace_id,
        via=caller.via.identity.uri if caller.via else "",
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class HeadSettings(Protocol):
    @property
    def head_every_s(self) -> float: ...


@dataclass(slots=True)
class AuditHeads:
    """The log's own head, signed now and then, and the heads of others that are kept here."""

    log: AuditLog
    store: HeadStore
    identity: NodeIdentity
    settings: Callable[[], HeadSettings]
    _signed: peer_pb2.AuditHead | None = None
    _signed_s: float = 0.0

    async def head(self) -> peer_pb2.AuditHead | None:
        end, now_s = self.log.head(), time.monotonic()
        if end == Point():
            return None
        due = now_s - self._signed_s >= self.settings().head_every_s
        if self._signed is None or (due and self._signed.sequence != end.sequence):
            now = self.identity.snapshot.pair
            der = to_der(parse(now.certificate_pem))
            node = self.identity.holder.identity.name
            self._signed = sign_head(node, end, _now_ms(), der, now.key_pem)
            self._signed_s = now_s
        return self._signed

    async def keep_head(self, head: peer_pb2.AuditHead) -> None:
        await self.store.keep(head, self.identity.trust)

    async def heads(self) -> Sequence[peer_pb2.AuditHead]:
        return await self.store.heads()

    async def read(self, after_sequence: int) -> AsyncIterator[list[str]]:
        async for lines in self.log.read(after_sequence):
            yield lines
