"""Bundles: one private file that makes a VM a node, or a person an operator.

A bundle that is read is whole: every field is there, the certificate names the one it
is for, its key fits, and a CA of the bundle's own trust has issued it.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from identity.certificate import Holder, parse
from identity.fields import FORMAT_VERSION, Fields, address_of
from identity.files import make_private_folder, read_secret, write_public, write_secret
from identity.keys import fits, read_key
from identity.names import Identity
from identity.records import (
    revocation_fields,
    revocation_of,
    revocations_json,
    trust_fields,
    trust_json,
    trust_of,
)
from identity.trust import verify_certificate
from multicloud.context import Endpoint
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

NODE_FORMAT = "multicloud node bundle"
OPERATOR_FORMAT = "multicloud operator bundle"
CLUSTER_KEY_BYTES = 32

# The files of an identity folder.
CERTIFICATE, KEY, TRUST = "node.crt", "node.key", "trust.json"
CLUSTER_KEY, REVOCATIONS = "cluster.key", "revocations.json"


@dataclass(frozen=True, slots=True)
class NodeBundle:
    cluster: str
    id: str
    name: str
    cloud: str
    region: str
    zone: str
    address: str
    watch_address: str  # Empty: the host of the address, port 7444.
    join: tuple[str, ...]
    founder: bool
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    trust: peer_pb2.TrustBundle
    revocations: tuple[peer_pb2.Revocation, ...] = ()
    cluster_key: bytes | None = field(default=None, repr=False)  # None: a storage-only node.

    @property
    def identity(self) -> Identity:
        return Identity.node(self.cluster, self.id)

    @property
    def holder(self) -> Holder:
        return verify_certificate(self.certificate_pem, self.trust)


@dataclass(frozen=True, slots=True)
class OperatorBundle:
    cluster: str
    name: str
    endpoints: tuple[Endpoint, ...]
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    trust: peer_pb2.TrustBundle

    @property
    def identity(self) -> Identity:
        return Identity.operator(self.cluster, self.name)

    @property
    def holder(self) -> Holder:
        return verify_certificate(self.certificate_pem, self.trust)


def write_node_bundle(path: Path, bundle: NodeBundle) -> None:
    key = bundle.cluster_key
    fields = {
        **_common(NODE_FORMAT, bundle),
        "id": bundle.id,
        "cloud": bundle.cloud,
        "region": bundle.region,
        "zone": bundle.zone,
        "address": bundle.address,
        "watch_address": bundle.watch_address,
        "join": list(bundle.join),
        "founder": bundle.founder,
        "revocations": [revocation_fields(one) for one in bundle.revocations],
        "cluster_key": None if key is None else base64.b64encode(key).decode(),
    }
    write_secret(path, json.dumps(fields, indent=1).encode() + b"\n")


def write_operator_bundle(path: Path, bundle: OperatorBundle) -> None:
    fields = {
        **_common(OPERATOR_FORMAT, bundle),
        "endpoints": [{"id": e.id, "name": e.name, "address": e.address} for e in bundle.endpoints],
    }
    write_secret(path, json.dumps(fields, indent=1).encode() + b"\n")


def _common(form: str, bundle: NodeBundle | OperatorBundle) -> dict[str, Any]:
    return {
        "format": form,
        "format_version": FORMAT_VERSION,
        "cluster": bundle.cluster,
        "name": bundle.name,
        "certificate": bundle.certificate_pem.decode(),
        "key": bundle.key_pem.decode(),
        "trust": trust_fields(bundle.trust),
    }


def read_node_bundle(path: Path) -> NodeBundle:
    """The bundle, or BUNDLE_INVALID with the reason. Its time is not judged: see `check_time`."""
    with Fields(path, NODE_FORMAT, "mcctl cluster issue-node") as fields:
        key = fields.raw["cluster_key"]
        bundle = NodeBundle(
            cluster=fields.name("cluster"),
            id=fields.text("id"),
            name=fields.name("name"),
            cloud=fields.name("cloud"),
            region=fields.name("region"),
            zone=fields.name("zone") if fields.raw["zone"] else "",
            address=fields.address("address"),
            watch_address=fields.address("watch_address") if fields.raw["watch_address"] else "",
            join=tuple(address_of(one, "join") for one in fields.listed("join")),
            founder=fields.flag("founder"),
            certificate_pem=fields.text("certificate").encode(),
            key_pem=fields.text("key").encode(),
            trust=trust_of(fields.raw["trust"]),
            revocations=tuple(revocation_of(one) for one in fields.listed("revocations")),
            cluster_key=None if key is None else base64.b64decode(key, validate=True),
        )
        if bundle.cluster_key is not None and len(bundle.cluster_key) != CLUSTER_KEY_BYTES:
            raise ValueError(f"cluster_key must have {CLUSTER_KEY_BYTES} bytes")
        _check_identity(bundle)
    return bundle


def read_operator_bundle(path: Path) -> OperatorBundle:
    """The bundle, or BUNDLE_INVALID with the reason. Its time is not judged: see `check_time`."""
    with Fields(path, OPERATOR_FORMAT, "mcctl cluster issue-operator") as fields:
        bundle = OperatorBundle(
            cluster=fields.name("cluster"),
            name=fields.name("name"),
            endpoints=tuple(
                Endpoint(str(e["id"]), str(e["name"]), address_of(e["address"], "endpoints"))
                for e in fields.listed("endpoints")
            ),
            certificate_pem=fields.text("certificate").encode(),
            key_pem=fields.text("key").encode(),
            trust=trust_of(fields.raw["trust"]),
        )
        _check_identity(bundle)
    return bundle


def unpack(bundle: NodeBundle, folder: Path) -> None:
    """The bundle's identity as the files of an identity folder; the certificate comes last."""
    make_private_folder(folder)
    write_secret(folder / KEY, bundle.key_pem)
    write_public(folder / TRUST, trust_json(bundle.trust))
    write_public(folder / REVOCATIONS, revocations_json(bundle.revocations))
    if bundle.cluster_key is None:
        (folder / CLUSTER_KEY).unlink(missing_ok=True)  # Of an earlier life as a full node.
    else:
        write_secret(folder / CLUSTER_KEY, base64.b64encode(bundle.cluster_key) + b"\n")
    write_public(folder / CERTIFICATE, bundle.certificate_pem)


def read_cluster_key(folder: Path, *, group_may_read: bool = False) -> bytes | None:
    """The cluster key of an identity folder; None on a storage-only node."""
    path = folder / CLUSTER_KEY
    if not path.exists():
        return None
    content = read_secret(path, group_may_read=group_may_read)
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except ValueError as error:
        raise _no_cluster_key(path) from error
    if len(key) != CLUSTER_KEY_BYTES:
        raise _no_cluster_key(path)
    return key


def _no_cluster_key(path: Path) -> McError:
    return McError(
        "CONFIG_INVALID",
        f"{path} is no cluster key: {CLUSTER_KEY_BYTES} bytes in base64",
        next="install the node's bundle again: `nodeagentd install BUNDLE`",
    )


def _check_identity(bundle: NodeBundle | OperatorBundle) -> None:
    holder = bundle.holder
    if holder.identity != bundle.identity:
        raise ValueError(f"the certificate is of {holder.identity}, not of {bundle.identity}")
    if not fits(read_key(bundle.key_pem), parse(bundle.certificate_pem)):
        raise ValueError("the key does not fit the certificate")
