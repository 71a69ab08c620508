"""Rotates the CA in two steps that may be repeated: bring in a new one, then retire the old.

Between them both count. The order makes that safe: first every node trusts the new CA,
then the other operators do, then nodes get certificates of it; one's own comes last. A
node that misses the first step while others take the third would be cut off.
"""

from dataclasses import replace

from identity.authority import TRUST
from identity.certificate import parse, read_certificate
from identity.trust import issuer_of
from mcctl import show
from mcctl.ca import Ca
from mcctl.issued import Issued
from mcctl.options import options
from mcctl.pushing import Outcome, blocks, exit_code, for_each, plain
from mcctl.renewal import operating, renew_nodes, renew_own
from multicloud.client import Client
from multicloud.context import Context
from multicloud.errors import McError
from multicloud.v1 import admin_pb2


async def rotate(ca: Ca, days: float) -> int:
    context = operating(ca)
    if len(ca.authority.trust.ca_certificates) == 1:
        ca.authority.rotate()
    else:
        show.note("the new CA is there already: going on with what is left to do")
    context = _with_trust(ca, context)
    nodes = ca.nodes()
    outcomes: list[Outcome] = []
    if nodes:
        async with Client(context, options().nodes) as client:
            outcomes = await _push(ca, client, nodes)
            left = [node for node in nodes if not ca.is_current(node)]
            if exit_code(outcomes) or not _others_know(ca):
                _show(ca, outcomes)
                show.next_step(
                    "mcctl cluster rotate-ca    (again, when all trust the new CA; a node that"
                    " never comes back: mcctl cluster revoke NODE)"
                )
                return 1
            renewed = {one.id: one for one in await renew_nodes(ca, client, left, days)}
            outcomes = [renewed.get(one.id, one) for one in outcomes]
    if exit_code(outcomes) == 0 and not _own_is_current(ca, context):
        renew_own(ca, context)
    _show(ca, outcomes)
    if exit_code(outcomes):
        show.next_step("mcctl cluster rotate-ca    (again, when those that failed are back)")
    else:
        show.next_step("mcctl cluster rotate-ca --finish    (when other operators have renewed)")
    return exit_code(outcomes)


def _others_know(ca: Ca) -> bool:
    """Other laptops believe renewed nodes only when they know the new CA."""
    others = _operators_behind(ca)
    if not others:
        return True
    file = ca.authority.folder / TRUST
    return show.confirm(
        f"From now on {', '.join(others)} must know the new CA to reach a renewed node: send"
        f" them {file} (no secret) for `mcctl context trust FILE`. Renew the nodes now?"
    )


def _operators_behind(ca: Ca) -> list[str]:
    own = ca.own_context()
    mine = read_certificate(own.certificate_pem).identity.uri if own else ""
    return [
        one.name
        for one in ca.issued.operators()
        if one.identity != mine and not ca.is_current(one) and not ca.is_revoked(one)
    ]


async def finish(ca: Ca) -> int:
    context = operating(ca)
    if len(ca.authority.trust.ca_certificates) > 1:
        _check_nobody_is_behind(ca, context)
        if not _agreed(ca):
            show.note("nothing was retired")
            return 1
        ca.authority.retire()
    context = _with_trust(ca, context)
    outcomes: list[Outcome] = []
    nodes = ca.nodes()
    if nodes:
        async with Client(context, options().nodes) as client:
            outcomes = await _push(ca, client, nodes)
    _show(ca, outcomes)
    if exit_code(outcomes):
        show.next_step("none needed: nodes that failed learn it from others when they are back")
    return exit_code(outcomes)


async def _push(ca: Ca, client: Client, nodes: list[Issued]) -> list[Outcome]:
    trust = ca.authority.trust

    async def one(node: Issued) -> str:
        request = admin_pb2.InstallTrustRequest(node=node.id, trust=trust)
        answer = await client.admin.InstallTrust(request)
        return f"trust version {answer.version}"

    return await for_each(nodes, "trusts", one)


def _check_nobody_is_behind(ca: Ca, context: Context) -> None:
    behind = [node.name for node in ca.nodes() if not ca.is_current(node)]
    if behind:
        raise McError(
            "FAILED",
            f"the old CA cannot be retired: {', '.join(behind)} would be cut off, with a"
            " certificate of it",
            next="`mcctl cluster rotate-ca` renews them; revoke those that never come back",
        )
    if not _own_is_current(ca, context):
        raise McError(
            "FAILED",
            "the old CA cannot be retired: your own certificate is of it",
            next="mcctl cluster renew",
        )


def _agreed(ca: Ca) -> bool:
    behind = _operators_behind(ca)
    who = f" {', '.join(behind)} will need a new bundle." if behind else ""
    return show.confirm(f"Retire the old CA of {ca.cluster}? What it has issued is void.{who}")


def _own_is_current(ca: Ca, context: Context) -> bool:
    issuer = issuer_of(parse(context.certificate_pem), ca.authority.trust)
    return issuer is not None and f"{issuer.serial_number:x}" == ca.issuer_serial


def _with_trust(ca: Ca, context: Context) -> Context:
    updated = replace(context, trust_json=ca.trust_json())
    ca.contexts.save(updated)
    return updated


def _show(ca: Ca, outcomes: list[Outcome]) -> None:
    trust = ca.authority.trust
    count = len(trust.ca_certificates)
    value = {
        "cluster": ca.cluster,
        "trust_version": trust.version,
        "ca_certificates": count,
        "nodes": plain(outcomes),
    }
    said = "the old CA and the new one count" if count > 1 else "one CA counts"
    show.emit(value, [f"{ca.cluster}: trust version {trust.version}, {said}", *blocks(outcomes)])
