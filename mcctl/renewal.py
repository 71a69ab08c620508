"""Renews certificates: the node makes a key, the laptop signs, the node installs. No restart."""

import time
from dataclasses import replace

from identity.certificate import Holder, read_certificate, rfc3339
from identity.keys import key_pem, new_key
from identity.names import Identity
from identity.request import read_renewal
from identity.revocations import voids
from mcctl import show
from mcctl.ca import OPERATOR_DAYS, Ca
from mcctl.issued import Issued
from mcctl.options import options
from mcctl.pushing import Outcome, blocks, exit_code, for_each, plain
from multicloud.client import Client
from multicloud.context import Context
from multicloud.errors import McError
from multicloud.v1 import admin_pb2


async def renew(ca: Ca, names: list[str], *, every: bool, days: float) -> int:
    nodes = ca.nodes() if every else [_node(ca, name) for name in names]
    context = operating(ca)
    own_too = every or not names
    # An expired operator gets in nowhere; otherwise the nodes come first, see `rotation`.
    own_first = own_too and _is_over(context)
    if own_first:
        context = renew_own(ca, context)
    outcomes: list[Outcome] = []
    if nodes:
        async with Client(context, options().nodes) as client:
            outcomes = await renew_nodes(ca, client, nodes, days)
    if own_too and not own_first:
        context = renew_own(ca, context)
    own = read_certificate(context.certificate_pem)
    _show(outcomes, own if own_too else None)
    if any(one.failed for one in outcomes):
        show.next_step("mcctl check, then the same command again for the nodes that failed")
    return exit_code(outcomes)


async def renew_nodes(ca: Ca, client: Client, nodes: list[Issued], days: float) -> list[Outcome]:
    async def one(node: Issued) -> str:
        return await _renew_node(ca, client, node, days)

    return await for_each(nodes, "renewed", one)


async def _renew_node(ca: Ca, client: Client, node: Issued, days: float) -> str:
    identity, now = Identity.parse(node.identity), time.time()
    asked = await client.admin.PrepareCertificate(admin_pb2.PrepareCertificateRequest(node=node.id))
    renewal = read_renewal(asked.csr, identity, ca.authority.trust, now)
    pem = ca.authority.issue(identity, node.name, ["node"], renewal.key, days, now)
    await client.admin.InstallCertificate(
        admin_pb2.InstallCertificateRequest(node=node.id, certificate=pem)
    )
    record = ca.record(pem, node.name)
    ca.issued.add(
        replace(
            node,
            serial=record.serial,
            not_before_unix_s=record.not_before_unix_s,
            not_after_unix_s=record.not_after_unix_s,
            ca_serial=record.ca_serial,
        )
    )
    return f"until {rfc3339(record.not_after_unix_s)}"


def operating(ca: Ca) -> Context:
    """The context that this cluster is operated through."""
    context = ca.own_context()
    if context is None:
        raise McError(
            "NO_CONTEXT",
            f"no context of this account leads to the cluster {ca.cluster}",
            next="`mcctl cluster issue-operator NAME --role admin --out FILE`, then import it",
        )
    return context


def renew_own(ca: Ca, context: Context, days: float = OPERATOR_DAYS) -> Context:
    """The operator's own next certificate: the authority is here, no node is needed."""
    holder = read_certificate(context.certificate_pem)
    if any(voids(one, holder) for one in ca.authority.revocations):
        raise McError(
            "REVOKED",
            f"{holder.identity} is revoked, and so is not renewed",
            next="mcctl context use NAME, for another identity of yours",
        )
    key, now = new_key(), time.time()
    name = holder.identity.name
    pem = ca.authority.issue(holder.identity, name, holder.roles, key.public_key(), days, now)
    renewed = replace(
        context, certificate_pem=pem, key_pem=key_pem(key), trust_json=ca.trust_json()
    )
    ca.issued.add(ca.record(pem, name))
    ca.contexts.save(renewed)
    return renewed


def _is_over(context: Context) -> bool:
    return read_certificate(context.certificate_pem).not_after_unix_s <= time.time()


def _node(ca: Ca, name: str) -> Issued:
    found = ca.issued.find(name)
    if not found.is_node:
        raise McError(
            "USAGE",
            f"{found.identity} is no node",
            next=f"mcctl cluster issue-operator {found.name} --role ROLE --out FILE",
        )
    if ca.is_revoked(found):
        raise McError(
            "REVOKED",
            f"node {found.name} ({found.id}) is revoked",
            next=f"mcctl cluster issue-node {found.name} --again --out FILE",
        )
    return found


def _show(outcomes: list[Outcome], own: Holder | None) -> None:
    until = rfc3339(own.not_after_unix_s) if own else None
    value = {
        "nodes": plain(outcomes),
        "own": {"identity": own.identity.uri, "certificate_end_time": until} if own else None,
    }
    you = [f"you are {own.identity} until {until}"] if own else []
    show.emit(value, [*blocks(outcomes), *you])
