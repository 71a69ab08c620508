"""Exactly one identity, or none: what a certificate may say about its holder."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from identity_world import NODE_A, PASSPHRASE, node, operator

from identity.authority import Authority
from identity.certificate import parse, read_certificate
from identity.keys import new_key
from identity.names import Identity, is_name
from multicloud.errors import McError

NODE = Identity.node("prod", NODE_A)
ADA = Identity.operator("prod", "ada")
URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests here: none of them changes it."""
    return Authority.create(tmp_path_factory.mktemp("ca") / "prod", "prod", PASSPHRASE)


def certificate(names: Sequence[x509.GeneralName] | None, roles: Sequence[str]) -> bytes:
    key, now = new_key(), datetime.now(UTC)
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role) for role in roles]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "label"), *units])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_what_an_authority_issues_is_read_as_it_was_meant(authority: Authority) -> None:
    now = int(time.time())
    member = operator(authority, "ada", ("auditor", "submitter"), days=2, now=now)
    holder = read_certificate(member.certificate_pem)
    assert holder.identity == ADA
    assert holder.roles == {"auditor", "submitter"}
    assert holder.label == "ada"
    assert holder.not_before_unix_s < now
    assert holder.not_after_unix_s == now + 2 * 86400
    assert read_certificate(parse(member.certificate_pem).public_bytes(Encoding.DER)) == holder


def test_serials_are_random(authority: Authority) -> None:
    serials = {read_certificate(node(authority).certificate_pem).serial for _ in range(20)}
    assert len(serials) == 20


def test_a_members_certificate_signs_nothing(authority: Authority) -> None:
    extensions = parse(node(authority).certificate_pem).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_unknown_roles_give_nothing() -> None:
    holder = read_certificate(certificate([URI(ADA.uri)], ["root", "admin", "Admin"]))
    assert holder.roles == {"admin"}


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (None, ["admin"]),
        ([], ["admin"]),
        ([DNS(ADA.dns_name)], ["admin"]),
        ([URI(ADA.uri), URI(Identity.operator("prod", "bob").uri)], ["admin"]),
        ([URI(ADA.uri), URI(NODE.uri)], ["admin"]),
        ([URI(ADA.uri), URI(ADA.uri)], ["admin"]),
        ([URI(ADA.uri), URI("https://example.org")], ["admin"]),
        ([URI("https://example.org")], ["admin"]),
        ([URI(ADA.uri), DNS(NODE.dns_name)], ["admin"]),
        ([URI(ADA.uri), x509.IPAddress(ip_address("127.0.0.1"))], ["admin"]),
        ([URI(ADA.uri), x509.RFC822Name("ada@example.org")], ["admin"]),
        ([URI("spiffe://prod/operator/ada/more")], ["admin"]),
        ([URI("spiffe://prod/service/ada")], ["admin"]),
        ([URI("spiffe://prod/node/short")], ["node"]),
        ([URI("spiffe://PROD/operator/ada")], ["admin"]),
        ([URI("spiffe://prod/operator/ada\n")], ["admin"]),
        ([URI(NODE.uri)], []),
        ([URI(NODE.uri)], ["node", "admin"]),
        ([URI(NODE.uri)], ["operator"]),
        ([URI(ADA.uri)], ["admin", "node"]),
    ],
)
def test_what_is_not_exactly_one_identity_is_refused(
    names: Sequence[x509.GeneralName] | None, roles: Sequence[str]
) -> None:
    pem = certificate(names, roles)
    with pytest.raises(McError) as refused:
        read_certificate(pem)
    assert refused.value.reason == "NO_IDENTITY"


@given(content=st.binary(max_size=300) | st.just(b"-----BEGIN CERTIFICATE-----\nAAAA"))
def test_what_is_no_certificate_is_a_typed_error(content: bytes) -> None:
    with pytest.raises(McError) as refused:
        read_certificate(content)
    assert refused.value.reason == "NO_IDENTITY"


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)


@given(cluster=names, name=names)
def test_an_identity_survives_its_uri(cluster: str, name: str) -> None:
    identity = Identity.operator(cluster, name)
    assert Identity.parse(identity.uri) == identity


@given(cluster=names, name=st.text(min_size=1, max_size=70))
def test_what_is_no_name_is_no_identity(cluster: str, name: str) -> None:
    if is_name(name):
        return
    with pytest.raises(McError):
        Identity.operator(cluster, name)
    with pytest.raises(McError):
        Identity.parse(f"spiffe://{cluster}/operator/{name}")
