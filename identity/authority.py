"""The cluster's certificate authority, a folder on an operator's laptop.

Whoever holds it decides who belongs to the cluster. Its keys, and the cluster key, are
in one vault; the trust bundle and the revocations beside it are no secrets.
"""

import base64
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from identity.certificate import to_der, to_pem
from identity.files import make_private_folder, read_public, write_public
from identity.issue import issue, new_ca
from identity.keys import PrivateKey, PublicKey, fits, key_pem, read_csr, read_key, require_p256
from identity.names import NAME_RULE, Identity, is_name
from identity.records import read_revocations_json, read_trust_json, revocations_json, trust_json
from identity.revocations import RevocationSet
from identity.signing import revocation_bytes, sign, trust_bytes
from identity.trust import cas
from identity.vault import Vault
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

VAULT, TRUST, REVOCATIONS = "vault.json", "trust.json", "revocations.json"
CLUSTER_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Secrets:
    """What the vault holds."""

    cluster_key: bytes
    ca_keys: tuple[PrivateKey, ...]

    def __repr__(self) -> str:
        return f"_Secrets({len(self.ca_keys)} CA keys)"

    def encode(self) -> bytes:
        fields = {
            "cluster_key": base64.b64encode(self.cluster_key).decode(),
            "ca_keys": [key_pem(key).decode() for key in self.ca_keys],
        }
        return json.dumps(fields).encode()

    @staticmethod
    def decode(content: bytes) -> "_Secrets":
        fields = json.loads(content)  # Authenticated by the vault: it is what we wrote.
        return _Secrets(
            base64.b64decode(fields["cluster_key"]),
            tuple(read_key(pem.encode()) for pem in fields["ca_keys"]),
        )


class Authority:
    def __init__(self, folder: Path, vault: Vault, trust: peer_pb2.TrustBundle) -> None:
        self.folder = folder
        self._vault = vault
        self._secrets = _Secrets.decode(vault.secret)
        self._trust = trust
        self._revocations = RevocationSet()

    @staticmethod
    def create(
        folder: Path, cluster: str, passphrase: str, now_unix_s: float | None = None
    ) -> "Authority":
        """A new authority with its first CA. Never replaces one."""
        if not is_name(cluster):
            raise McError("USAGE", f"{cluster!r} is no name for a cluster: {NAME_RULE}")
        if not passphrase:
            raise McError("USAGE", "the passphrase of an authority must not be empty")
        if (folder / VAULT).exists():
            raise McError(
                "ALREADY_EXISTS",
                f"there is an authority in {folder} already",
                next="choose another name; whoever loses this folder loses the cluster's CA",
            )
        make_private_folder(folder)
        now = time.time() if now_unix_s is None else now_unix_s
        key, certificate = new_ca(cluster, now)
        kept = _Secrets(os.urandom(CLUSTER_KEY_BYTES), (key,))
        trust = _trust_bundle(cluster, 1, [certificate], key)
        # The vault last: without it there is no authority, and creating starts over.
        write_public(folder / TRUST, trust_json(trust))
        vault = Vault.create(folder / VAULT, passphrase, kept.encode())
        return Authority(folder, vault, trust)

    @staticmethod
    def open(folder: Path, passphrase: str) -> "Authority":
        if not (folder / VAULT).exists():
            raise McError(
                "NOT_FOUND",
                f"there is no authority in {folder}",
                next="`mcctl cluster init NAME`, or work where the cluster was made",
            )
        trust = read_trust_json(read_public(folder / TRUST))
        authority = Authority(folder, Vault.open(folder / VAULT, passphrase), trust)
        authority._issuer()  # A trust bundle of another authority shows now.
        if (folder / REVOCATIONS).exists():
            known = read_revocations_json(read_public(folder / REVOCATIONS))
            authority._revocations = RevocationSet(known)
        return authority

    @property
    def cluster(self) -> str:
        return self._trust.cluster

    @property
    def trust(self) -> peer_pb2.TrustBundle:
        return self._trust

    @property
    def cluster_key(self) -> bytes:
        """Wraps the keys of datasets; given to nodes that may read them."""
        return self._secrets.cluster_key

    @property
    def revocations(self) -> list[peer_pb2.Revocation]:
        return self._revocations.all()

    def issue(
        self,
        identity: Identity,
        label: str,
        roles: Iterable[str],
        key: PublicKey | bytes,
        days: float,
        now_unix_s: float,
    ) -> bytes:
        """A certificate in PEM. Of a request (PEM) only the key counts, once it is proven."""
        if identity.cluster != self.cluster:
            raise McError("USAGE", f"{identity} is not of cluster {self.cluster}")
        public = read_csr(key) if isinstance(key, bytes) else require_p256(key, "the certificate")
        after = max(
            (one.revoked_unix_s for one in self._identity_wide(identity)),
            default=None,
        )
        ca_key, ca = self._issuer()
        certificate = issue(
            ca_key, ca, identity, label, frozenset(roles), public, days, now_unix_s, after
        )
        return to_pem(certificate)

    def _identity_wide(self, identity: Identity) -> list[peer_pb2.Revocation]:
        return [r for r in self.revocations if r.identity == identity.uri and not r.serial]

    def revoke(
        self, identity_uri: str, serial: str, reason: str, now_unix_s: float
    ) -> peer_pb2.Revocation:
        """A signed revocation, kept here too. An empty serial: all that was issued until now."""
        identity = Identity.parse(identity_uri)
        revocation = peer_pb2.Revocation(
            identity=identity.uri,
            serial=serial.lower().replace(":", "").lstrip("0"),
            revoked_unix_s=int(now_unix_s),
            reason=reason,
        )
        revocation.signature = sign(self._issuer()[0], revocation_bytes(revocation))
        self._revocations.add_all([revocation], self._trust)
        write_public(self.folder / REVOCATIONS, revocations_json(self._revocations.all()))
        return revocation

    def rotate(self, now_unix_s: float | None = None) -> peer_pb2.TrustBundle:
        """A new CA joins the bundle and issues from now on; the old ones still count."""
        now = time.time() if now_unix_s is None else now_unix_s
        key, certificate = new_ca(self.cluster, now)
        signer = self._key_of(cas(self._trust)[0])
        trust = _trust_bundle(
            self.cluster, self._trust.version + 1, [*cas(self._trust), certificate], signer
        )
        # The key first: a bundle whose CA cannot sign would be worse than an unused key.
        self._keep(_Secrets(self.cluster_key, (*self._secrets.ca_keys, key)))
        self._publish(trust)
        return trust

    def retire(self) -> peer_pb2.TrustBundle:
        """The old CAs leave the bundle; what they have issued is void."""
        old, newest = cas(self._trust)[:-1], cas(self._trust)[-1]
        if not old:
            raise McError(
                "FAILED", "there is one CA only, none to retire", next="`mcctl cluster rotate-ca`"
            )
        # Signed by the oldest: nodes that have missed the bundle between believe it too.
        trust = _trust_bundle(self.cluster, self._trust.version + 1, [newest], self._key_of(old[0]))
        self._publish(trust)
        self._keep(_Secrets(self.cluster_key, (self._key_of(newest),)))
        return trust

    def _publish(self, trust: peer_pb2.TrustBundle) -> None:
        write_public(self.folder / TRUST, trust_json(trust))
        self._trust = trust

    def _keep(self, kept: _Secrets) -> None:
        self._vault.replace(kept.encode())
        self._secrets = kept

    def _issuer(self) -> tuple[PrivateKey, x509.Certificate]:
        newest = cas(self._trust)[-1]
        return self._key_of(newest), newest

    def _key_of(self, ca: x509.Certificate) -> PrivateKey:
        for key in self._secrets.ca_keys:
            if fits(key, ca):
                return key
        raise McError(
            "CONFIG_INVALID",
            f"{self.folder / TRUST} lists a CA whose key is not in the vault beside it",
            next="restore the whole folder from your backup",
        )


def _trust_bundle(
    cluster: str, version: int, certificates: list[x509.Certificate], signer: PrivateKey
) -> peer_pb2.TrustBundle:
    trust = peer_pb2.TrustBundle(
        cluster=cluster,
        version=version,
        ca_certificates=[to_der(certificate) for certificate in certificates],
    )
    trust.signature = sign(signer, trust_bytes(trust))
    return trust
