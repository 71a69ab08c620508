"""This node's identity as the loop uses it: what touches files runs in a thread."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from identity.certificate import Holder
from identity.store import NodeIdentity
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Keeper:
    identity: NodeIdentity

    @property
    def trust(self) -> peer_pb2.TrustBundle:
        return self.identity.trust

    @property
    def revocations_digest(self) -> bytes:
        return self.identity.revocations.digest

    def revocations(self) -> Sequence[peer_pb2.Revocation]:
        return self.identity.revocations.all()

    async def prepare(self) -> bytes:
        return await asyncio.to_thread(self.identity.prepare)

    async def install(self, certificate_pem: bytes) -> Holder:
        return await asyncio.to_thread(self.identity.install, certificate_pem)

    async def install_trust(self, trust: peer_pb2.TrustBundle) -> bool:
        return await asyncio.to_thread(self.identity.install_trust, trust)

    async def add_revocations(self, found: Iterable[peer_pb2.Revocation]) -> int:
        return len(await asyncio.to_thread(self.identity.add_revocations, list(found)))

    async def learn_revocations(self, found: Sequence[peer_pb2.Revocation]) -> int:
        """From a peer, in good faith: how many were new."""
        if not found:
            return 0
        return len(await asyncio.to_thread(self.identity.merge_revocations, list(found)))

    async def learn_trust(self, found: peer_pb2.TrustBundle) -> bool:
        """From a peer: taken when it follows from what is trusted here, else said and left."""
        if found.version <= self.trust.version:
            return False
        try:
            return await self.install_trust(found)
        except McError as error:
            _log.warning("trust_not_taken", version=found.version, why=error.message)
            return False
