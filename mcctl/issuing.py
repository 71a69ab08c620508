"""Issues a node's bundle: checks what was asked for, remembers what was given."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from identity.bundle import NodeBundle, write_node_bundle
from identity.fields import is_address
from identity.keys import key_pem, new_key, new_node_id
from identity.names import NAME_RULE, Identity, is_name
from mcctl.ca import Ca
from mcctl.issued import Issued
from multicloud.errors import FieldFault, McError

JOIN_MAX = 8
HELP = "see `mcctl cluster issue-node --help`"
ADDRESS_RULE = "host:port, with the port between 1 and 65535"


@dataclass(frozen=True, slots=True)
class NodeWanted:
    name: str
    cloud: str
    region: str
    zone: str
    address: str
    watch: str
    join: str
    storage_only: bool
    again: bool
    days: float


def check_out(out: Path) -> None:
    """Before anything is issued: a bundle that cannot be written would be lost."""
    if not out.parent.is_dir():
        raise McError("USAGE", f"the folder of {out} does not exist", next="make it first")
    if out.exists() and not out.is_file():
        raise McError("USAGE", f"{out} is no file", next="name another one with --out")


def issue_node(ca: Ca, wanted: NodeWanted, out: Path) -> tuple[NodeBundle, Issued]:
    before = _before(ca, wanted)
    wanted = _filled(wanted, before)
    _check(wanted)
    others = [one for one in ca.nodes() if one.name != wanted.name]
    _check_own_address(wanted, others)
    node_id = before.id if before else new_node_id()
    key, now = new_key(), time.time()
    certificate = ca.authority.issue(
        Identity.node(ca.cluster, node_id),
        wanted.name,
        ["node"],
        key.public_key(),
        wanted.days,
        now,
    )
    join = tuple(wanted.join.split(",")) if wanted.join else _default_join(others)
    bundle = NodeBundle(
        cluster=ca.cluster,
        id=node_id,
        name=wanted.name,
        cloud=wanted.cloud,
        region=wanted.region,
        zone=wanted.zone,
        address=wanted.address,
        watch_address=wanted.watch,
        join=join,
        # The first one opens the council, once; a revoked one may have done so already.
        founder=all(one.name == wanted.name for one in ca.issued.nodes()),
        certificate_pem=certificate,
        key_pem=key_pem(key),
        trust=ca.authority.trust,
        revocations=tuple(ca.authority.revocations),
        cluster_key=None if wanted.storage_only else ca.authority.cluster_key,
    )
    record = replace(
        ca.record(certificate, wanted.name),
        cloud=wanted.cloud,
        region=wanted.region,
        zone=wanted.zone,
        address=wanted.address,
        watch=wanted.watch,
        storage_only=wanted.storage_only,
    )
    write_node_bundle(out, bundle)
    ca.issued.add(record)
    return bundle, record


def _before(ca: Ca, wanted: NodeWanted) -> Issued | None:
    found = next((one for one in ca.issued.nodes() if one.name == wanted.name), None)
    if found is None and wanted.again:
        return ca.issued.find(wanted.name)  # Says that there is none, and which there are.
    if found is not None and not wanted.again:
        raise McError(
            "ALREADY_EXISTS",
            f"a node {wanted.name} ({found.id}) was issued before",
            next="choose another name, or add --again for a new bundle of the same node",
        )
    return found


def _filled(wanted: NodeWanted, before: Issued | None) -> NodeWanted:
    """What a repeated issue leaves open stays as it was."""
    if before is None:
        return wanted
    return replace(
        wanted,
        cloud=wanted.cloud or before.cloud,
        region=wanted.region or before.region,
        zone=wanted.zone or before.zone,
        address=wanted.address or before.address,
        watch=wanted.watch or before.watch,
        storage_only=wanted.storage_only or before.storage_only,
    )


def _check(wanted: NodeWanted) -> None:
    faults: list[FieldFault] = []
    for field, value in (
        ("NAME", wanted.name),
        ("--cloud", wanted.cloud),
        ("--region", wanted.region),
        ("--zone", wanted.zone or "none"),
    ):
        if not is_name(value):
            said = f"{value!r} is no name: {NAME_RULE}" if value else "it is needed"
            faults.append(FieldFault(field, said))
    addresses = [("--address", wanted.address)]
    addresses += [("--watch", wanted.watch)] if wanted.watch else []
    addresses += [("--join", one) for one in wanted.join.split(",")] if wanted.join else []
    for field, value in addresses:
        if not is_address(value):
            said = f"{value!r} is no address: {ADDRESS_RULE}" if value else "it is needed"
            faults.append(FieldFault(field, said))
    if faults:
        raise McError("USAGE", "the node cannot be issued as asked", faults=faults, next=HELP)


def _check_own_address(wanted: NodeWanted, others: list[Issued]) -> None:
    """Two nodes at one address would each be taken for an impostor of the other."""
    for one in others:
        if one.address == wanted.address:
            raise McError(
                "USAGE",
                f"{wanted.address} is the address of node {one.name} already",
                next="give the address of this node, or revoke the one that is gone",
            )


def _default_join(others: list[Issued]) -> tuple[str, ...]:
    return tuple(one.address for one in others[:JOIN_MAX])
