"""Says who is calling: exactly one identity of this cluster, not expired, not revoked."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from identity.certificate import Holder, read_certificate
from multicloud.errors import McError
from multicloud.v1 import peer_pb2
from nodeagent.rpc.access import NODE, Rule
from nodeagent.rpc.call import ON_BEHALF_KEY, Caller

CERTIFICATES_REMEMBERED_MAX = 1024


class Revocations(Protocol):
    def revoked(self, holder: Holder) -> peer_pb2.Revocation | None: ...


class Trusting(Protocol):
    """This node's own identity and whom it trusts."""

    @property
    def cluster(self) -> str: ...
    def check_issued(self, pem_or_der: bytes) -> Holder:
        """Raises UNTRUSTED unless a CA of the trust bundle has signed it."""


@dataclass(slots=True)
class IdentityGate:
    own: Trusting
    revocations: Revocations
    removed: Callable[[str], bool] = lambda _: False  # Node ids that never come back.
    clock_unix_s: Callable[[], float] = time.time
    _read: "OrderedDict[bytes, Holder]" = field(default_factory=OrderedDict)

    def caller(
        self,
        auth: Mapping[str, Any],
        metadata: Mapping[str, str | bytes],
        peer: str,
        rule: Rule,
    ) -> Caller:
        presented: Sequence[bytes] = auth.get("x509_pem_cert", ())
        if len(presented) != 1:
            raise McError("NO_IDENTITY", f"{peer} shows no certificate")
        holder = self._judged(presented[0])
        on_behalf = metadata.get(ON_BEHALF_KEY)
        if not isinstance(on_behalf, bytes):
            return Caller(holder, presented[0], peer)
        if NODE not in holder.roles or not rule.passed_on:
            raise McError("NOT_ALLOWED", f"{holder.identity.uri} may not speak for others here")
        self.own.check_issued(on_behalf)
        return Caller(self._judged(on_behalf), on_behalf, peer, via=holder)

    def _judged(self, certificate: bytes) -> Holder:
        holder = self._holder(certificate)
        uri = holder.identity.uri
        if holder.identity.cluster != self.own.cluster:
            said = f"{uri} is not of the cluster {self.own.cluster}"
            raise McError("NO_IDENTITY", said)
        now_s = self.clock_unix_s()
        if now_s > holder.not_after_unix_s:
            raise McError("CERTIFICATE_EXPIRED", f"the certificate of {uri} has expired")
        if error := self.revoked(holder):
            raise error
        return holder

    def revoked(self, holder: Holder) -> McError | None:
        if NODE in holder.roles and self.removed(holder.identity.name):
            said = f"the node {holder.label} was removed from the cluster for good"
            return McError("REMOVED", said)
        revocation = self.revocations.revoked(holder)
        if revocation is None:
            return None
        why = f": {revocation.reason}" if revocation.reason else ""
        return McError("REVOKED", f"{holder.identity.uri} is revoked{why}")

    def _holder(self, certificate: bytes) -> Holder:
        """Parsing costs more than a small call, so the newest certificates are remembered."""
        holder = self._read.get(certificate)
        if holder is None:
            holder = read_certificate(certificate)
            self._read[certificate] = holder
            if len(self._read) > CERTIFICATES_REMEMBERED_MAX:
                self._read.popitem(last=False)
        return holder
