"""Certificates, trust and revocations of a running node: all of it without a restart."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from identity.certificate import Holder
from multicloud.v1 import admin_pb2, peer_pb2
from nodeagent.rpc.admin.nodes import rfc3339
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call


class Identities(Protocol):
    """This node's own identity, kept on disk."""

    @property
    def trust(self) -> peer_pb2.TrustBundle: ...
    async def prepare(self) -> bytes: ...
    async def install(self, certificate_pem: bytes) -> Holder: ...
    async def install_trust(self, trust: peer_pb2.TrustBundle) -> bool: ...
    def revocations(self) -> Sequence[peer_pb2.Revocation]: ...
    async def add_revocations(self, found: Iterable[peer_pb2.Revocation]) -> int: ...


@dataclass(slots=True)
class IdentityAdmin:
    passing: Passing
    identities: Identities
    on_renewed: Callable[[], object]
    on_revocations: Callable[[], object]

    async def prepare_certificate(
        self, request: admin_pb2.PrepareCertificateRequest, call: Call
    ) -> admin_pb2.PrepareCertificateResponse:
        passed = await self.passing.answer(request, admin_pb2.PrepareCertificateResponse, call)
        return passed or admin_pb2.PrepareCertificateResponse(csr=await self.identities.prepare())

    async def install_certificate(
        self, request: admin_pb2.InstallCertificateRequest, call: Call
    ) -> admin_pb2.InstallCertificateResponse:
        passed = await self.passing.answer(request, admin_pb2.InstallCertificateResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        holder = await self.identities.install(request.certificate)
        self.on_renewed()
        end = rfc3339(holder.not_after_unix_s)
        return admin_pb2.InstallCertificateResponse(certificate_end_time=end)

    async def install_trust(
        self, request: admin_pb2.InstallTrustRequest, call: Call
    ) -> admin_pb2.InstallTrustResponse:
        passed = await self.passing.answer(request, admin_pb2.InstallTrustResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        if await self.identities.install_trust(request.trust):
            self.on_renewed()
        return admin_pb2.InstallTrustResponse(version=self.identities.trust.version)

    async def add_revocations(
        self, request: admin_pb2.AddRevocationsRequest, call: Call
    ) -> admin_pb2.AddRevocationsResponse:
        if await self.identities.add_revocations(request.revocations):
            self.on_revocations()
        return admin_pb2.AddRevocationsResponse(known=len(self.identities.revocations()))

    async def list_revocations(
        self, request: admin_pb2.ListRevocationsRequest, call: Call
    ) -> admin_pb2.ListRevocationsResponse:
        return admin_pb2.ListRevocationsResponse(revocations=self.identities.revocations())
