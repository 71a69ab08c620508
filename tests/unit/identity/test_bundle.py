"""A bundle is whole or it is refused with the reason; secrets stay out of everything printed."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from identity_world import NODE_A, NODE_B, PASSPHRASE, bundle_of, node, operator

from identity.authority import Authority
from identity.bundle import (
    CLUSTER_KEY,
    Endpoint,
    NodeBundle,
    OperatorBundle,
    read_cluster_key,
    read_node_bundle,
    read_operator_bundle,
    unpack,
    write_node_bundle,
    write_operator_bundle,
)
from identity.names import Identity
from identity.store import NodeIdentity
from multicloud.errors import McError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests here: none of them changes it."""
    made = Authority.create(tmp_path_factory.mktemp("ca") / "prod", "prod", PASSPHRASE)
    made.revoke(Identity.operator("prod", "eve").uri, "", "left", time.time())
    return made


@pytest.fixture
def bundle(authority: Authority) -> NodeBundle:
    return bundle_of(authority, node(authority))


@pytest.fixture
def path(bundle: NodeBundle, tmp_path: Path) -> Path:
    write_node_bundle(tmp_path / "a.bundle", bundle)
    return tmp_path / "a.bundle"


def refused(path: Path) -> McError:
    with pytest.raises(McError) as caught:
        read_node_bundle(path)
    assert caught.value.next
    return caught.value


def test_a_node_bundle_is_read_as_it_was_written(bundle: NodeBundle, path: Path) -> None:
    assert read_node_bundle(path) == bundle
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bundle.revocations) == 1


def test_an_operator_bundle_is_read_as_it_was_written(authority: Authority, tmp_path: Path) -> None:
    ada = operator(authority)
    bundle = OperatorBundle(
        "prod",
        "ada",
        (Endpoint(NODE_A, "aws-a", "203.0.113.5:7443"),),
        ada.certificate_pem,
        ada.key_pem,
        authority.trust,
    )
    write_operator_bundle(tmp_path / "ada.bundle", bundle)
    assert read_operator_bundle(tmp_path / "ada.bundle") == bundle
    assert "no multicloud node bundle" in refused(tmp_path / "ada.bundle").message


def test_a_node_runs_with_what_a_bundle_unpacks(bundle: NodeBundle, tmp_path: Path) -> None:
    unpack(bundle, tmp_path / "etc")
    identity = NodeIdentity.load(
        tmp_path / "etc", tmp_path / "state", env={}, expected=bundle.identity
    )
    assert identity.certificate_pem == bundle.certificate_pem
    assert identity.cluster_key == bundle.cluster_key
    assert identity.revocations.all() == list(bundle.revocations)


def test_a_storage_only_node_has_no_cluster_key_and_loses_an_earlier_one(
    authority: Authority, tmp_path: Path
) -> None:
    member = node(authority)
    unpack(bundle_of(authority, member), tmp_path / "etc")
    assert read_cluster_key(tmp_path / "etc") == authority.cluster_key
    unpack(bundle_of(authority, member, storage_only=True), tmp_path / "etc")
    assert read_cluster_key(tmp_path / "etc") is None
    assert not (tmp_path / "etc" / CLUSTER_KEY).exists()


def test_a_bundles_repr_shows_no_secret(bundle: NodeBundle) -> None:
    assert bundle.cluster_key is not None
    assert repr(bundle.cluster_key) not in repr(bundle)
    assert "PRIVATE" not in repr(bundle)


def test_a_bundle_that_others_may_read_is_refused(path: Path) -> None:
    path.chmod(0o640)
    error = refused(path)
    assert error.reason == "SECRET_EXPOSED"
    assert error.next == f"chmod 600 {path}"


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.__setitem__(name, value)


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.__delitem__(name)


FIELDS = "cluster id name cloud region zone address watch_address join founder certificate key trust revocations cluster_key"  # noqa: E501


@pytest.mark.parametrize("name", FIELDS.split())
def test_a_missing_field_is_named(name: str, path: Path) -> None:
    _change(path, _drop(name))
    error = refused(path)
    assert error.reason == "BUNDLE_INVALID"
    assert f"'{name}' is missing" in error.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("format", "something"), "no multicloud node bundle"),
        (_set("format_version", 2), "format version is 2"),
        (_set("cluster", "test"), "not"),
        (_set("id", NODE_B), NODE_B),
        (_set("id", "../../etc"), "16 hex digits"),
        (_set("name", "A B"), "name is no name"),
        (_set("region", 7), "region must be a text"),
        (_set("address", "nowhere"), "address needs host:port"),
        (_set("address", "h:99999"), "address needs host:port"),
        (_set("watch_address", ["h:1"]), "watch_address needs host:port"),
        (_set("join", "h:1"), "join must be a list"),
        (_set("join", ["h"]), "join needs host:port"),
        (_set("founder", "yes"), "founder must be true or false"),
        (_set("certificate", "x"), "cannot be read"),
        (_set("key", "x"), "not an unencrypted private key"),
        (_set("cluster_key", "AAAA"), "32 bytes"),
        (_set("cluster_key", "?"), "cannot be used"),
        (_set("revocations", [{}]), "revocation cannot be read"),
        (_set("trust", {}), "trust bundle cannot be read"),
    ],
)
def test_a_wrong_field_is_refused_with_the_reason(
    change: Callable[[dict[str, Any]], None], said: str, path: Path
) -> None:
    _change(path, change)
    error = refused(path)
    assert error.reason == "BUNDLE_INVALID"
    assert said in error.message


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_bundle_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert refused(path).reason == "BUNDLE_INVALID"


def test_a_certificate_that_does_not_belong_is_refused(
    authority: Authority, stranger: Authority, bundle: NodeBundle, tmp_path: Path
) -> None:
    foreign, other = node(stranger), node(authority, NODE_B)
    for wrong, said in (
        (replace(bundle, certificate_pem=foreign.certificate_pem), "not from a CA"),
        (replace(bundle, certificate_pem=other.certificate_pem), NODE_B),
        (replace(bundle, key_pem=other.key_pem), "key does not fit"),
        (replace(bundle, trust=stranger.trust), "not from a CA"),
    ):
        write_node_bundle(tmp_path / "wrong.bundle", wrong)
        error = refused(tmp_path / "wrong.bundle")
        assert error.reason == "BUNDLE_INVALID"
        assert said in error.message


def _change(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))
