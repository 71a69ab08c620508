"""What the audit log keeps of the S3 endpoint: refusals, and which key read which version."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from identity.chain import Record
from nodeagent.ops.audit import AuditLog
from nodeagent.s3.keys import Key
from nodeagent.s3.refusal import DENIED, Refusal

AGAIN_S = 600.0  # One record for a key and a version in this time: a job reads a million ranges.
REMEMBERED_MAX = 4096


@dataclass(slots=True)
class Trail:
    log: AuditLog
    cluster: str
    clock_s: Callable[[], float] = time.monotonic
    _told: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)

    async def reading(self, key: Key, version: str, peer: str, trace_id: str) -> None:
        """Durable before the first byte leaves."""
        which, now_s = (key.id, version), self.clock_s()
        if now_s - self._told.get(which, float("-inf")) < AGAIN_S:
            return
        await self.log.append(
            Record(
                unix_ms=time.time_ns() // 1_000_000,
                actor=f"spiffe://{self.cluster}/key/{key.name}",
                rpc="S3/GetObject",
                decision="allowed",
                roles=(key.role,),
                serial=key.id,
                peer=peer,
                resource=f"name/{version}",
                outcome="STARTED",
                trace_id=trace_id,
            )
        )
        self._told[which] = now_s
        self._told.move_to_end(which)
        if len(self._told) > REMEMBERED_MAX:
            self._told.popitem(last=False)

    def refused(
        self, operation: str, peer: str, key_name: str, refused: Refusal, trace_id: str
    ) -> None:
        if refused.code not in DENIED:
            return
        self.log.append_soon(
            Record(
                unix_ms=time.time_ns() // 1_000_000,
                actor=f"spiffe://{self.cluster}/key/{key_name}" if key_name else "",
                rpc=f"S3/{operation}",
                decision="denied",
                peer=peer,
                reason=refused.code,
                resource=refused.message,
                outcome="PERMISSION_DENIED",
                trace_id=trace_id,
            )
        )
