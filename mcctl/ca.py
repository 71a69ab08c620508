"""Finds, unlocks and uses the authority of a cluster on this laptop; one command at a time."""

import fcntl
import getpass
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from identity.authority import Authority
from identity.certificate import read_certificate
from identity.files import make_private_folder, read_secret
from identity.keys import key_pem, new_key
from identity.names import Identity
from identity.records import trust_json
from identity.trust import cas
from mcctl.issued import Issued, IssuedLog
from mcctl.options import options
from multicloud.context import Context, Contexts, Endpoint
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

PASSPHRASE_VARIABLE = "MC_CA_PASSPHRASE_FILE"  # noqa: S105  The name of a variable.
PASSPHRASE_CHARS_MIN = 8
NODE_DAYS, OPERATOR_DAYS = 90.0, 30.0
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Ca:
    """An unlocked authority, what it has issued, and the contexts of this account."""

    authority: Authority
    issued: IssuedLog
    contexts: Contexts

    @property
    def cluster(self) -> str:
        return self.authority.cluster

    @property
    def issuer_serial(self) -> str:
        return f"{cas(self.authority.trust)[-1].serial_number:x}"

    def is_current(self, one: Issued) -> bool:
        """Whether its certificate is of the CA that issues now."""
        return one.ca_serial == self.issuer_serial

    def revocation_of(
        self, identity: str, serial: str, not_before_unix_s: int
    ) -> peer_pb2.Revocation | None:
        """What already voids this certificate of the identity, or all of its time."""
        for one in self.authority.revocations:
            if one.identity == identity and (
                (serial and one.serial == serial)
                or (not one.serial and one.revoked_unix_s >= not_before_unix_s)
            ):
                return one
        return None

    def is_revoked(self, one: Issued) -> bool:
        return self.revocation_of(one.identity, one.serial, one.not_before_unix_s) is not None

    def nodes(self) -> list[Issued]:
        """The nodes that belong to the cluster."""
        return [one for one in self.issued.nodes() if not self.is_revoked(one)]

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(one.id, one.name, one.address) for one in self.nodes())

    def issue_operator(
        self, name: str, roles: tuple[str, ...], days: float
    ) -> tuple[bytes, bytes, Issued]:
        """Certificate, key and record of an operator."""
        identity = Identity.operator(self.cluster, name)
        key, now = new_key(), time.time()
        pem = self.authority.issue(identity, name, roles, key.public_key(), days, now)
        return pem, key_pem(key), self.record(pem, name)

    def record(self, certificate_pem: bytes, name: str) -> Issued:
        holder = read_certificate(certificate_pem)
        return Issued(
            identity=holder.identity.uri,
            name=name,
            serial=holder.serial,
            not_before_unix_s=holder.not_before_unix_s,
            not_after_unix_s=holder.not_after_unix_s,
            ca_serial=self.issuer_serial,
            roles=tuple(sorted(holder.roles)),
        )

    def own_context(self) -> Context | None:
        """The context through which this cluster is operated from here, if there is one."""
        chosen = options().context or self.contexts.current()
        for name in dict.fromkeys([chosen, self.cluster, *self.contexts.names()]):
            if name in self.contexts.names():
                context = self.contexts.load(name)
                if context.cluster == self.cluster:
                    return context
        return None

    def trust_json(self) -> bytes:
        return trust_json(self.authority.trust)


def authorities(contexts: Contexts) -> Path:
    return contexts.home / "authorities"


@contextmanager
def unlocked(cluster: str | None) -> Iterator[Ca]:
    """The authority of the cluster named, else of the context, else the only one there is."""
    contexts = Contexts()
    folder = authorities(contexts) / (cluster or _meant(contexts))
    if not folder.is_dir():
        raise _none_here(contexts, f"there is no authority of cluster {folder.name} on this laptop")
    with _alone(folder):
        authority = Authority.open(folder, passphrase())
        yield Ca(authority, IssuedLog(folder), contexts)


@contextmanager
def created(cluster: str) -> Iterator[Ca]:
    contexts = Contexts()
    folder = authorities(contexts) / cluster
    if (folder / "vault.json").exists():  # Before anybody thinks up a passphrase.
        raise McError("ALREADY_EXISTS", f"there is an authority of {cluster} already, in {folder}")
    if cluster in contexts.names():
        raise McError("ALREADY_EXISTS", f"there is a context {cluster} already")
    secret = passphrase(twice=True)
    make_private_folder(folder)
    with _alone(folder):
        authority = Authority.create(folder, cluster, secret)
        yield Ca(authority, IssuedLog(folder), contexts)


def _meant(contexts: Contexts) -> str:
    known = _all(contexts)
    name = options().context or contexts.current()
    if name and name in contexts.names():
        cluster = contexts.load(name).cluster
        if cluster in known:
            return cluster
    if len(known) == 1:
        return known[0]
    raise _none_here(contexts, "it is not clear which cluster is meant")


def _all(contexts: Contexts) -> list[str]:
    folder = authorities(contexts)
    return sorted(path.parent.name for path in folder.glob("*/vault.json"))


def _none_here(contexts: Contexts, what: str) -> McError:
    known = _all(contexts)
    if not known:
        return McError(
            "NOT_FOUND",
            "there is no authority on this laptop",
            next="`mcctl cluster init NAME`, or work where the cluster was made",
        )
    return McError(
        "NOT_FOUND", f"{what}; there is {', '.join(known)}", next="say which: --cluster NAME"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise McError(
                "FOLDER_IN_USE",
                f"another mcctl uses the authority in {folder}",
                next="wait until it has ended",
            ) from error
        yield
    finally:
        os.close(fd)


def passphrase(*, twice: bool = False) -> str:
    """From the file that MC_CA_PASSPHRASE_FILE names, else from the terminal."""
    if path := os.environ.get(PASSPHRASE_VARIABLE):
        typed = read_secret(Path(path)).decode(errors="replace").rstrip("\r\n")
    elif sys.stdin.isatty():
        typed = getpass.getpass("Passphrase of the authority: ")
        if twice and typed != getpass.getpass("Once more: "):
            raise McError("USAGE", "the two passphrases differ", next="try again")
    else:
        raise McError(
            "USAGE",
            "the authority needs its passphrase and there is no terminal to ask on",
            next=f"put it into a file (0600) and name that in {PASSPHRASE_VARIABLE}",
        )
    if twice and len(typed) < PASSPHRASE_CHARS_MIN:
        raise McError(
            "USAGE",
            f"the passphrase is too short: it guards the whole cluster and needs at least"
            f" {PASSPHRASE_CHARS_MIN} characters",
            next="think of a longer one",
        )
    return typed
