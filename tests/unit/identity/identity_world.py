"""What the tests of identities build with: an authority, members of its cluster, wrong members."""

import time
from dataclasses import dataclass
from pathlib import Path

from identity.authority import Authority
from identity.bundle import NodeBundle, unpack
from identity.keys import PrivateKey, key_pem, new_key
from identity.names import Identity
from identity.trust import ca_pem
from multicloud.channel import Credentials

PASSPHRASE = "correct horse battery staple"
NODE_A, NODE_B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


@dataclass(frozen=True)
class Member:
    identity: Identity
    certificate_pem: bytes
    key: PrivateKey

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def credentials(self, authority: Authority) -> Credentials:
        return Credentials(self.certificate_pem, self.key_pem, ca_pem(authority.trust))


def node(
    authority: Authority, node_id: str = NODE_A, *, days: float = 90, now: float | None = None
) -> Member:
    identity = Identity.node(authority.cluster, node_id)
    return _member(authority, identity, {"node"}, days, now)


def operator(
    authority: Authority,
    name: str = "ada",
    roles: tuple[str, ...] = ("admin",),
    *,
    days: float = 30,
    now: float | None = None,
) -> Member:
    return _member(authority, Identity.operator(authority.cluster, name), set(roles), days, now)


def _member(
    authority: Authority, identity: Identity, roles: set[str], days: float, now: float | None
) -> Member:
    key = new_key()
    at = time.time() if now is None else now
    pem = authority.issue(identity, identity.name, roles, key.public_key(), days, at)
    return Member(identity, pem, key)


def bundle_of(authority: Authority, member: Member, *, storage_only: bool = False) -> NodeBundle:
    return NodeBundle(
        cluster=authority.cluster,
        id=member.identity.name,
        name="aws-a",
        cloud="aws",
        region="us-east-1",
        zone="a",
        address="203.0.113.5:7443",
        watch_address="",
        join=("203.0.113.5:7443", "[2001:db8::1]:7443"),
        founder=True,
        certificate_pem=member.certificate_pem,
        key_pem=member.key_pem,
        trust=authority.trust,
        revocations=tuple(authority.revocations),
        cluster_key=None if storage_only else authority.cluster_key,
    )


def installed(authority: Authority, member: Member, folder: Path) -> Path:
    """The identity folder of a node that was installed with this certificate."""
    unpack(bundle_of(authority, member), folder)
    return folder
