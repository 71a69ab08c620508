"""Revokes an identity: signs it here, tells every node that can be reached, says who knows."""

import time
from dataclasses import replace

from identity.certificate import read_certificate
from identity.names import Identity
from mcctl import show
from mcctl.ca import Ca
from mcctl.issued import Issued
from mcctl.options import options
from mcctl.pushing import Outcome, blocks, exit_code, for_each, plain
from mcctl.renewal import operating
from multicloud.client import Client
from multicloud.context import Context
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, peer_pb2

REVOCATIONS_A_CALL = 100


async def revoke(ca: Ca, who: str, serial: str, reason: str) -> int:
    identity = _identity(ca, who)
    context = operating(ca)
    what = f"the certificate {serial} of {identity}" if serial else str(identity)
    own = "  This is you." if _is_own(context, identity) else ""
    if not show.confirm(f"Revoke {what} for ever?{own}"):
        show.note("nothing was revoked")
        return 1
    # Repeated, to tell nodes that were away: the fact itself stays the one that was signed.
    revocation = _before(ca, identity, serial) or ca.authority.revoke(
        identity.uri, serial, reason, time.time()
    )
    context = replace(context, endpoints=ca.endpoints())
    ca.contexts.save(context)
    nodes = ca.nodes()
    outcomes = await _push(ca, context, nodes) if nodes else []
    value = {
        "identity": revocation.identity,
        "serial": revocation.serial or None,
        "reason": revocation.reason,
        "nodes": plain(outcomes),
    }
    show.emit(value, [f"{what} is revoked", *blocks(outcomes)])
    if exit_code(outcomes):
        show.next_step("none needed while a node knows it: the others hear it when they are back")
    return 1 if outcomes and all(one.failed for one in outcomes) else 0


async def _push(ca: Ca, context: Context, nodes: list[Issued]) -> list[Outcome]:
    """To each directly: it must not wait for anybody to pass it on."""
    every = ca.authority.revocations  # Earlier ones too, for nodes that have missed them.
    try:
        async with Client(context, options().nodes) as client:

            async def one(node: Issued) -> str:
                return await _tell(client, node, every)

            return await for_each(nodes, "knows", one)
    except McError as error:
        raise McError(
            error.reason,
            f"the revocation is signed and kept here, but no node knows it yet: {error.message}",
            next="the same command again, when a node can be reached, tells them all",
        ) from error


async def _tell(client: Client, node: Issued, every: list[peer_pb2.Revocation]) -> str:
    direct = await client.to(node.id)
    known = 0
    for begin in range(0, len(every), REVOCATIONS_A_CALL):
        part = every[begin : begin + REVOCATIONS_A_CALL]
        request = admin_pb2.AddRevocationsRequest(revocations=part)
        known = (await direct.admin.AddRevocations(request)).known
    return f"{known} revocations"


def _identity(ca: Ca, who: str) -> Identity:
    if not who.startswith("spiffe://"):
        return Identity.parse(ca.issued.find(who).identity)
    identity = Identity.parse(who)
    if identity.cluster != ca.cluster:
        raise McError("USAGE", f"{identity} is not of cluster {ca.cluster}")
    return identity


def _before(ca: Ca, identity: Identity, serial: str) -> peer_pb2.Revocation | None:
    newest = next((one for one in ca.issued.latest() if one.identity == identity.uri), None)
    return ca.revocation_of(identity.uri, serial, newest.not_before_unix_s if newest else 0)


def _is_own(context: Context, identity: Identity) -> bool:
    return read_certificate(context.certificate_pem).identity == identity
