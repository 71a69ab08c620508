"""A node's own identity: what it starts with, how it is renewed, what it refuses."""

import time
from pathlib import Path

import pytest
from identity_world import NODE_A, NODE_B, Member, installed, node, operator

from identity.authority import Authority
from identity.bundle import CERTIFICATE, KEY
from identity.certificate import read_certificate
from identity.chosen import RENEWED
from identity.names import Identity
from identity.store import NodeIdentity
from multicloud.errors import McError

DAY_S = 86400


def load(tmp_path: Path, **options: object) -> NodeIdentity:
    return NodeIdentity.load(tmp_path / "etc", tmp_path / "state", env={}, **options)  # type: ignore[arg-type]


def renewed(identity: NodeIdentity, authority: Authority, now: float) -> bytes:
    return authority.issue(
        identity.holder.identity, "aws-a", {"node"}, identity.prepare(), days=90, now_unix_s=now
    )


def test_a_node_starts_with_what_was_installed(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path, expected=Identity.node("prod", NODE_A))
    assert identity.holder.identity == Identity.node("prod", NODE_A)
    assert identity.holder.roles == {"node"}
    assert identity.trust == authority.trust
    assert identity.cluster_key == authority.cluster_key


def test_a_renewed_certificate_counts_at_once_and_after_a_restart(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority, now=time.time() - DAY_S), tmp_path / "etc")
    identity = load(tmp_path)
    before = identity.generation
    certificate = renewed(identity, authority, time.time())
    holder = identity.install(certificate)
    assert identity.holder == holder == read_certificate(certificate)
    assert identity.generation == before + 1
    assert load(tmp_path).certificate_pem == certificate
    assert load(tmp_path).passed_over == ""


def test_a_certificate_is_installed_for_the_newest_request_only(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    stale = renewed(identity, authority, time.time())
    identity.prepare()
    with pytest.raises(McError, match="newest request"):
        identity.install(stale)
    assert identity.certificate_pem != stale


def test_the_same_certificate_may_be_installed_again(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    certificate = renewed(identity, authority, time.time())
    assert identity.install(certificate) == identity.install(certificate)


@pytest.mark.parametrize("wrong", ["other node", "other CA", "expired", "operator", "revoked"])
def test_a_wrong_certificate_is_not_installed(
    wrong: str, tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    request, now = identity.prepare(), time.time()
    own = identity.holder.identity
    issuer, whose, roles, at = authority, own, {"node"}, now
    if wrong == "other node":
        whose = Identity.node("prod", NODE_B)
    elif wrong == "operator":
        whose, roles = Identity.operator("prod", "ada"), {"admin"}
    elif wrong == "other CA":
        issuer = stranger
    elif wrong == "expired":
        at = now - 100 * DAY_S
    certificate = issuer.issue(whose, "aws-a", roles, request, 90, at)
    if wrong == "revoked":
        identity.add_revocations([authority.revoke(own.uri, "", "stolen", now)])
    with pytest.raises(McError) as refused:
        identity.install(certificate)
    expected = {"expired": "CERTIFICATE_EXPIRED", "revoked": "REVOKED"}.get(wrong, "UNTRUSTED")
    assert refused.value.reason == expected
    assert identity.certificate_pem != certificate
    assert load(tmp_path).certificate_pem == identity.certificate_pem


def test_an_installation_newer_than_the_renewal_wins(tmp_path: Path, authority: Authority) -> None:
    now = time.time()
    installed(authority, node(authority, now=now - 20 * DAY_S), tmp_path / "etc")
    identity = load(tmp_path)
    identity.install(renewed(identity, authority, now - 10 * DAY_S))
    again = node(authority, now=now)
    installed(authority, again, tmp_path / "etc")
    assert load(tmp_path).certificate_pem == again.certificate_pem


def test_a_renewal_of_another_node_is_passed_over_and_said(
    tmp_path: Path, authority: Authority
) -> None:
    mine, other = node(authority, now=time.time() - DAY_S), node(authority, NODE_B)
    installed(authority, mine, tmp_path / "etc")
    load(tmp_path)
    copied = tmp_path / "state" / "identity" / RENEWED
    copied.write_bytes(other.key_pem + other.certificate_pem)
    copied.chmod(0o600)
    identity = load(tmp_path)
    assert identity.certificate_pem == mine.certificate_pem
    assert NODE_B in identity.passed_over


def test_a_cluster_made_anew_under_the_same_name_starts_after_installing_again(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    installed(authority, node(authority, now=time.time() - DAY_S), tmp_path / "etc")
    identity = load(tmp_path)
    identity.install_trust(authority.rotate())
    installed(stranger, node(stranger), tmp_path / "etc")
    assert load(tmp_path).trust == stranger.trust


def refused_at_load(tmp_path: Path, **options: object) -> McError:
    with pytest.raises(McError) as refused:
        load(tmp_path, **options)
    assert refused.value.next
    return refused.value


def test_an_expired_certificate_is_refused_at_start(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority, now=time.time() - 91 * DAY_S), tmp_path / "etc")
    error = refused_at_load(tmp_path)
    assert error.reason == "CERTIFICATE_EXPIRED"
    assert "issue-node" in error.next


def test_a_certificate_of_the_future_is_refused_at_start(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority, now=time.time() + DAY_S), tmp_path / "etc")
    error = refused_at_load(tmp_path)
    assert error.reason == "CERTIFICATE_EXPIRED"
    assert "clock" in error.next


def test_a_certificate_of_a_foreign_ca_is_refused_at_start(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    _replace(tmp_path / "etc", node(stranger))
    assert refused_at_load(tmp_path).reason == "UNTRUSTED"


def test_an_operators_certificate_makes_no_node(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    _replace(tmp_path / "etc", operator(authority))
    assert refused_at_load(tmp_path).reason == "NO_IDENTITY"


def test_a_key_that_does_not_fit_is_refused_at_start(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    (tmp_path / "etc" / KEY).write_bytes(node(authority).key_pem)
    assert "does not fit" in refused_at_load(tmp_path).message


def test_the_identity_of_another_node_is_refused_at_start(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    error = refused_at_load(tmp_path, expected=Identity.node("prod", NODE_B))
    assert error.reason == "CONFIG_INVALID"
    assert NODE_A in error.message
    assert NODE_B in error.message


def test_a_key_that_others_may_read_is_refused_at_start(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    (tmp_path / "etc" / KEY).chmod(0o644)
    assert refused_at_load(tmp_path).reason == "SECRET_EXPOSED"


def test_an_empty_folder_is_refused_at_start(tmp_path: Path) -> None:
    assert refused_at_load(tmp_path).reason == "CONFIG_INVALID"


def test_credentials_of_systemd_take_the_folders_place(
    tmp_path: Path, authority: Authority
) -> None:
    handed_over = installed(authority, node(authority), tmp_path / "credentials")
    for path in handed_over.iterdir():
        path.chmod(0o440)  # As an access list shows.
    identity = NodeIdentity.load(
        tmp_path / "nowhere", tmp_path / "state", env={"CREDENTIALS_DIRECTORY": str(handed_over)}
    )
    assert identity.holder.identity.name == NODE_A


def test_trust_is_followed_kept_and_never_taken_back(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    first, second = authority.trust, authority.rotate()
    assert identity.install_trust(second)
    assert not identity.install_trust(second)
    with pytest.raises(McError, match="no way back"):
        identity.install_trust(first)
    assert load(tmp_path).trust == second


def test_a_node_refuses_the_trust_that_would_cut_it_off(
    tmp_path: Path, authority: Authority
) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    identity.install_trust(authority.rotate())
    with pytest.raises(McError, match="cut off"):
        identity.install_trust(authority.retire())


def test_a_whole_rotation_ends_with_the_new_ca_alone(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority, now=time.time() - DAY_S), tmp_path / "etc")
    identity = load(tmp_path)
    moot = authority.revoke(Identity.node("prod", NODE_B).uri, "", "gone", time.time())
    identity.add_revocations([moot])
    identity.install_trust(authority.rotate())
    identity.install(renewed(identity, authority, time.time()))
    identity.install_trust(authority.retire())
    assert identity.revocations.all() == []
    again = load(tmp_path)
    assert again.trust == authority.trust
    assert again.certificate_pem == identity.certificate_pem
    assert len(again.trust.ca_certificates) == 1


def test_revocations_are_kept_over_a_restart(tmp_path: Path, authority: Authority) -> None:
    installed(authority, node(authority), tmp_path / "etc")
    identity = load(tmp_path)
    revocation = authority.revoke(Identity.operator("prod", "ada").uri, "", "left", time.time())
    assert identity.add_revocations([revocation]) == [revocation]
    assert identity.add_revocations([revocation]) == []
    again = load(tmp_path)
    assert again.revocations.all() == [revocation]
    assert again.revocations.digest == identity.revocations.digest


def _replace(folder: Path, member: Member) -> None:
    (folder / CERTIFICATE).write_bytes(member.certificate_pem)
    (folder / KEY).write_bytes(member.key_pem)
