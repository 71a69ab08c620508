"""Which identity a node starts with: the renewed one in the state folder, or the installed one."""

from dataclasses import dataclass, field
from pathlib import Path

from identity.bundle import CERTIFICATE, KEY, REVOCATIONS, TRUST
from identity.certificate import Holder, check_time, parse, read_holder, to_pem
from identity.files import read_public, read_secret
from identity.keys import fits, key_pem, read_key
from identity.names import Identity
from identity.records import read_revocations_json, read_trust_json
from identity.revocations import RevocationSet
from identity.trust import verify_certificate
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

RENEWED = "node.pem"  # Key and certificate in one file: they are replaced together or not at all.
ISSUE_AGAIN = "`mcctl cluster issue-node NAME --again`, then `nodeagentd install` on the VM"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the key that fits it."""

    holder: Holder
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def age(self) -> tuple[int, int]:
        """Orders certificates of one node: the later one is the newer."""
        return self.holder.not_before_unix_s, self.holder.not_after_unix_s


@dataclass(frozen=True, slots=True)
class Chosen:
    pair: Pair
    trust: peer_pb2.TrustBundle
    revocations: RevocationSet
    passed_over: str  # Why a renewed identity that is there was not taken; empty otherwise.


def read_pair(certificate: bytes, key: bytes, where: Path) -> Pair:
    """NO_IDENTITY unless the key fits the certificate of exactly one identity."""
    try:
        parsed = parse(certificate)
        pair_key = read_key(key, what=f"the key in {where}")
        holder = read_holder(parsed)
    except McError as error:
        raise McError(error.reason, f"{where}: {error.message}", next=ISSUE_AGAIN) from error
    if not fits(pair_key, parsed):
        raise McError(
            "NO_IDENTITY", f"{where}: the key does not fit the certificate", next=ISSUE_AGAIN
        )
    return Pair(holder, to_pem(parsed), key_pem(pair_key))


def choose(
    installed_dir: Path,
    renewed_dir: Path,
    expected: Identity | None,
    now_unix_s: float,
    *,
    group_may_read: bool,
) -> Chosen:
    """The identity to start with; whatever forbids a start is a typed error saying what to do."""
    installed = read_pair(
        read_public(installed_dir / CERTIFICATE),
        read_secret(installed_dir / KEY, group_may_read=group_may_read),
        installed_dir,
    )
    _check_owner(installed.holder, expected, installed_dir)
    renewed, passed_over = _renewed(renewed_dir / RENEWED, installed)
    pair = renewed or installed
    bundles = [read_trust_json(read_public(installed_dir / TRUST))]
    if (renewed_dir / TRUST).exists():
        bundles.append(read_trust_json(read_public(renewed_dir / TRUST)))
    trust = _trust_for(pair, bundles)
    try:
        check_time(pair.holder, now_unix_s)
    except McError as error:
        late = now_unix_s > pair.holder.not_after_unix_s
        raise McError(
            error.reason, error.message, next=ISSUE_AGAIN if late else error.next
        ) from error
    revocations = RevocationSet()
    for folder in (installed_dir, renewed_dir):
        if (folder / REVOCATIONS).exists():
            known = read_revocations_json(read_public(folder / REVOCATIONS))
            revocations.merge(known, trust)
    return Chosen(pair, trust, revocations, passed_over)


def _renewed(path: Path, installed: Pair) -> tuple[Pair | None, str]:
    if not path.exists():
        return None, ""
    content = read_secret(path)
    try:
        pair = read_pair(content, content, path)
    except McError as error:
        return None, error.message
    if pair.holder.identity != installed.holder.identity:
        return None, f"{path} is of {pair.holder.identity}: another node's state folder?"
    if pair.age < installed.age:
        return None, ""  # Installed again since: that is how a node starts over.
    return pair, ""


def _trust_for(pair: Pair, bundles: list[peer_pb2.TrustBundle]) -> peer_pb2.TrustBundle:
    """The newest bundle under which the certificate counts."""
    bundles = sorted(bundles, key=lambda bundle: bundle.version, reverse=True)
    for bundle in bundles:
        try:
            verify_certificate(pair.certificate_pem, bundle)
        except McError:
            continue
        return bundle
    newest = bundles[0]
    raise McError(
        "UNTRUSTED",
        f"the certificate of {pair.holder.identity} ({pair.holder.label}) is not from a CA of"
        f" cluster {newest.cluster} (trust version {newest.version})",
        next=ISSUE_AGAIN,
    )


def _check_owner(holder: Holder, expected: Identity | None, where: Path) -> None:
    if holder.identity.kind != "node":
        raise McError(
            "NO_IDENTITY",
            f"{where} holds the certificate of {holder.identity}, which is no node",
            next="install a node's bundle: `mcctl cluster issue-node`",
        )
    if expected is not None and holder.identity != expected:
        raise McError(
            "CONFIG_INVALID",
            f"{where} holds the certificate of {holder.identity}, the configuration says"
            f" {expected}",
            next="correct node.id and node.cluster, or install this node's own bundle",
        )
