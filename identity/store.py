"""A running node's own identity: loaded, renewed, and handed to TLS, without a restart.

What was installed is in the identity folder and never written; what was renewed is in
the state folder. Whoever reads sees one consistent snapshot, from any thread.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from identity.bundle import REVOCATIONS, TRUST, read_cluster_key
from identity.certificate import Holder, parse, rfc3339
from identity.chosen import RENEWED, Pair, choose, read_pair
from identity.files import make_private_folder, read_secret, write_public, write_secret
from identity.keys import fits, key_pem, new_key, read_key
from identity.names import Identity
from identity.records import revocations_json, trust_json
from identity.request import renewal_request
from identity.revocations import RevocationSet
from identity.trust import ca_pem, verify_certificate, verify_trust
from multicloud.channel import Credentials
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

NEXT_KEY = "next.key"  # Of the newest request, until its certificate is installed.
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"  # systemd's LoadCredential.


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The identity at one moment. Two of them are the same when their generation is."""

    pair: Pair
    trust: peer_pb2.TrustBundle
    ca_pem: bytes
    generation: int  # +1 at every change; channels are opened anew.


class NodeIdentity:
    def __init__(
        self,
        folder: Path,
        snapshot: Snapshot,
        revocations: RevocationSet,
        *,
        cluster_key: bytes | None = None,
        passed_over: str = "",
        clock_unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._snapshot = snapshot
        self._changing = threading.Lock()
        self._clock_unix_s = clock_unix_s
        self.revocations = revocations
        self._kept_digest = revocations.digest
        self.cluster_key = cluster_key
        self.passed_over = passed_over

    def __repr__(self) -> str:
        return f"NodeIdentity({self.holder.identity})"

    @staticmethod
    def load(
        identity_dir: Path,
        state_dir: Path,
        *,
        expected: Identity | None = None,
        env: Mapping[str, str] = os.environ,
        clock_unix_s: Callable[[], float] = time.time,
    ) -> "NodeIdentity":
        """The identity to run with, or a typed error that says why there is none."""
        handed_over = env.get(CREDENTIALS_VARIABLE)
        installed_dir = Path(handed_over) if handed_over else identity_dir
        folder = state_dir / "identity"
        make_private_folder(folder)
        chosen = choose(
            installed_dir, folder, expected, clock_unix_s(), group_may_read=bool(handed_over)
        )
        return NodeIdentity(
            folder,
            Snapshot(chosen.pair, chosen.trust, ca_pem(chosen.trust), 1),
            chosen.revocations,
            cluster_key=read_cluster_key(installed_dir, group_may_read=bool(handed_over)),
            passed_over=chosen.passed_over,
            clock_unix_s=clock_unix_s,
        )

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def generation(self) -> int:
        return self._snapshot.generation

    @property
    def holder(self) -> Holder:
        return self._snapshot.pair.holder

    @property
    def cluster(self) -> str:
        return self.holder.identity.cluster

    @property
    def certificate_pem(self) -> bytes:
        return self._snapshot.pair.certificate_pem

    @property
    def key_pem(self) -> bytes:
        return self._snapshot.pair.key_pem

    @property
    def trust(self) -> peer_pb2.TrustBundle:
        return self._snapshot.trust

    def client_credentials(self) -> Credentials:
        """For channels to peers."""
        now = self._snapshot
        return Credentials(now.pair.certificate_pem, now.pair.key_pem, now.ca_pem)

    def credentials(self) -> grpc.ServerCredentials:
        """For one server. It asks again at every handshake, so changes need no restart."""
        given = self._snapshot

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            now = self._snapshot
            if now.generation == given.generation:
                return None  # What the server has is still right.
            given = now
            return _server_configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _server_configuration(given),
            changed,  # type: ignore[arg-type]  # gRPC takes None as "unchanged"; its stubs do not say.
            require_client_authentication=True,
        )

    def check_issued(self, pem_or_der: bytes) -> Holder:
        """Who holds the certificate; UNTRUSTED unless a CA that counts has issued it."""
        return verify_certificate(pem_or_der, self.trust)

    def prepare(self) -> bytes:
        """A request for a certificate with a new key, which stays here. Blocks: files."""
        with self._changing:
            key = new_key()
            write_secret(self._folder / NEXT_KEY, key_pem(key))
            current = read_key(self.key_pem)
            return renewal_request(key, current, self.certificate_pem)

    def install(self, certificate_pem: bytes) -> Holder:
        """Takes the certificate for the newest request, from now on. Blocks: files."""
        with self._changing:
            now = self._snapshot
            if parse(certificate_pem) == parse(now.pair.certificate_pem):
                return now.pair.holder  # The same call again, its answer was lost.
            pair = self._checked(certificate_pem)
            write_secret(self._folder / RENEWED, pair.key_pem + pair.certificate_pem)
            self._snapshot = replace(now, pair=pair, generation=now.generation + 1)
            (self._folder / NEXT_KEY).unlink(missing_ok=True)
            return pair.holder

    def _checked(self, certificate_pem: bytes) -> Pair:
        holder = verify_certificate(certificate_pem, self.trust, self._clock_unix_s())
        own = self.holder.identity
        if holder.identity != own:
            raise McError("UNTRUSTED", f"the certificate is of {holder.identity}, this is {own}")
        if revocation := self.revocations.revoked(holder):
            since = rfc3339(revocation.revoked_unix_s)
            raise McError("REVOKED", f"{own} is revoked since {since}: {revocation.reason}")
        path = self._folder / NEXT_KEY
        if not path.exists():
            raise _no_request(own)
        key = read_secret(path)
        if not fits(read_key(key, what=f"the key in {path}"), parse(certificate_pem)):
            raise _no_request(own)
        return read_pair(certificate_pem, key, self._folder)

    def install_trust(self, trust: peer_pb2.TrustBundle) -> bool:
        """Takes a newer trust bundle; False when this very version counts already.

        UNTRUSTED when it does not follow the current one. Blocks: files.
        """
        with self._changing:
            now = self._snapshot
            if trust == now.trust:
                return False
            verify_trust(trust, now.trust)
            try:
                verify_certificate(now.pair.certificate_pem, trust)
            except McError as error:
                raise McError(
                    "FAILED",
                    f"trust version {trust.version} drops the CA of {now.pair.holder.identity}'s"
                    " own certificate; with it the node would be cut off",
                    next="renew the node first: `mcctl cluster renew`",
                ) from error
            taken = peer_pb2.TrustBundle()
            taken.CopyFrom(trust)
            write_public(self._folder / TRUST, trust_json(taken))
            self._snapshot = Snapshot(now.pair, taken, ca_pem(taken), now.generation + 1)
            self.revocations.retain(taken)
            self._keep_revocations()
            return True

    def add_revocations(
        self, revocations: Iterable[peer_pb2.Revocation]
    ) -> list[peer_pb2.Revocation]:
        """Those that were new; UNTRUSTED when one is forged. Blocks: files."""
        with self._changing:
            new = self.revocations.add_all(revocations, self.trust)
            self._keep_revocations()
            return new

    def merge_revocations(
        self, revocations: Iterable[peer_pb2.Revocation]
    ) -> list[peer_pb2.Revocation]:
        """Those that were new, from a peer; what no CA that counts has signed is left out."""
        with self._changing:
            new = self.revocations.merge(revocations, self.trust)
            self._keep_revocations()
            return new

    def _keep_revocations(self) -> None:
        digest = self.revocations.digest
        if digest != self._kept_digest:  # Also after a write that failed: the next call mends it.
            write_public(self._folder / REVOCATIONS, revocations_json(self.revocations.all()))
            self._kept_digest = digest


def _server_configuration(now: Snapshot) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(now.pair.key_pem, now.pair.certificate_pem)], root_certificates=now.ca_pem
    )


def _no_request(identity: Identity) -> McError:
    return McError(
        "FAILED",
        f"the certificate is not for the key of the newest request of {identity}",
        next="renew again: each renewal begins with a new request",
    )
