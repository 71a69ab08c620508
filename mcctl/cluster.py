"""`mcctl cluster …`: make a cluster's authority, issue identities, renew and revoke them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from identity.bundle import OperatorBundle, write_operator_bundle
from identity.certificate import rfc3339
from identity.names import ROLES, is_name
from mcctl import cluster_backup, issuing, show
from mcctl.ca import NODE_DAYS, OPERATOR_DAYS, created, unlocked
from mcctl.cli import run_async
from mcctl.context import imported
from multicloud.context import Context
from multicloud.errors import McError

app = typer.Typer(no_args_is_help=True)
app.command("backup")(cluster_backup.backup)
app.command("restore")(cluster_backup.restore)

ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Which authority; else the context's cluster.")
]
OutOption = Annotated[Path, typer.Option(help="The bundle to write; one private file.")]
DaysOption = Annotated[float, typer.Option(min=0.01, max=3650, help="How long it is valid.")]


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="What the cluster is called, for ever.")],
    admin: Annotated[str, typer.Option(help="Your name as its first admin.")] = "",
    days: DaysOption = OPERATOR_DAYS,
) -> None:
    """Make a CA, behind a passphrase, and an admin identity for this laptop."""
    admin = admin or _own_name()
    with created(name) as ca:
        certificate, key, record = ca.issue_operator(admin, ("admin",), days)
        ca.issued.add(record)
        context = Context(name, name, (), certificate, key, ca.trust_json())
        ca.contexts.save(context)
        folder = str(ca.authority.folder)
        current = ca.contexts.current() == name
    value = {
        "cluster": name,
        "authority": folder,
        "context": name,
        "current": current,
        "identity": record.identity,
        "certificate_end_time": rfc3339(record.not_after_unix_s),
    }
    lines = [
        f"cluster {name}: its authority is in {folder}",
        "back that folder up, and remember the passphrase: without them nobody can join or renew",
        f"you are {record.identity} until {rfc3339(record.not_after_unix_s)}",
    ]
    if not current:
        lines.append(f"another context is current: `mcctl context use {name}` changes that")
    show.emit(value, "\n".join(lines))
    show.next_step(
        "mcctl cluster issue-node NAME --cloud aws --region us-east-1 --zone a"
        " --address HOST:7443 --out NAME.bundle"
    )


def _own_name() -> str:
    name = os.environ.get("USER", "").lower()
    return name if is_name(name) else "admin"


@app.command("issue-node")
def issue_node(
    name: Annotated[str, typer.Argument(help="What people will call the node.")],
    out: OutOption,
    cloud: Annotated[str, typer.Option(help="aws, gcp, azure, or a name of your own.")] = "",
    region: Annotated[str, typer.Option(help="The cloud's region.")] = "",
    zone: Annotated[str, typer.Option(help="The zone; without it the node stands alone.")] = "",
    address: Annotated[str, typer.Option(help="host:port at which others reach its API.")] = "",
    watch: Annotated[str, typer.Option(help="host:port of its watch; else port 7444.")] = "",
    join: Annotated[
        str, typer.Option(help="host:port,… of a few nodes; else those issued before.")
    ] = "",
    storage_only: Annotated[
        bool, typer.Option("--storage-only", help="Keeps chunks and can read none.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="A new bundle for a node that was issued before.")
    ] = False,
    days: DaysOption = NODE_DAYS,
    cluster: ClusterOption = None,
) -> None:
    """Issue one file that makes a VM a node of the cluster."""
    wanted = issuing.NodeWanted(
        name, cloud, region, zone, address, watch, join, storage_only, again, days
    )
    issuing.check_out(out)
    with unlocked(cluster) as ca:
        bundle, record = issuing.issue_node(ca, wanted, out)
        context = ca.own_context()
        if context is not None:
            ca.contexts.save(replace(context, endpoints=ca.endpoints()))
    value = {
        "name": bundle.name,
        "id": bundle.id,
        "identity": record.identity,
        "address": bundle.address,
        "founder": bundle.founder,
        "storage_only": bundle.cluster_key is None,
        "certificate_end_time": rfc3339(record.not_after_unix_s),
        "bundle": str(out),
    }
    founder = ", the cluster's first" if bundle.founder else ""
    show.emit(
        value,
        f"node {bundle.name} ({bundle.id}{founder}) until {rfc3339(record.not_after_unix_s)}:"
        f" {out}\nthe file is a secret: move it to the VM, install it there, delete it here",
    )
    show.next_step(f"sudo nodeagentd install {out.name}    (on the VM)")


@app.command("issue-operator")
def issue_operator(
    name: Annotated[str, typer.Argument(help="The person, or the program.")],
    out: OutOption,
    role: Annotated[
        list[str], typer.Option(help=f"{', '.join(r for r in ROLES if r != 'node')}; repeatable.")
    ],
    days: DaysOption = OPERATOR_DAYS,
    cluster: ClusterOption = None,
) -> None:
    """Issue one file that makes a person an operator of the cluster."""
    if not is_name(name):
        raise McError("USAGE", f"{name!r} is no name for an operator", next="a-z 0-9 . _ -")
    issuing.check_out(out)
    with unlocked(cluster) as ca:
        certificate, key, record = ca.issue_operator(name, tuple(role), days)
        bundle = OperatorBundle(
            ca.cluster, name, ca.endpoints(), certificate, key, ca.authority.trust
        )
        write_operator_bundle(out, bundle)
        ca.issued.add(record)
    value = {
        "name": name,
        "identity": record.identity,
        "roles": list(record.roles),
        "certificate_end_time": rfc3339(record.not_after_unix_s),
        "bundle": str(out),
    }
    end = rfc3339(record.not_after_unix_s)
    show.emit(value, f"operator {name} ({', '.join(record.roles)}) until {end}: {out}")
    show.next_step(f"mcctl context import {out.name}    (on {name}'s laptop)")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An operator's bundle.")],
    name: Annotated[str, typer.Option(help="Of the context; else the cluster's name.")] = "",
) -> None:
    """Take an operator's bundle as a context of this account."""
    imported(file, name)


@app.command()
def renew(
    nodes: Annotated[list[str] | None, typer.Argument(help="Names or ids.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every node, and your own.")] = False,
    days: DaysOption = NODE_DAYS,
    cluster: ClusterOption = None,
) -> int:
    """Push new certificates to running nodes. Without NODE and --all: your own certificate."""
    from mcctl import renewal  # gRPC, which issuing does not need.

    with unlocked(cluster) as ca:
        return run_async(renewal.renew(ca, nodes or [], every=all_, days=days))


@app.command("rotate-ca")
def rotate_ca(
    finish: Annotated[
        bool, typer.Option("--finish", help="Retire the old CA; all nodes must have renewed.")
    ] = False,
    days: DaysOption = NODE_DAYS,
    cluster: ClusterOption = None,
) -> int:
    """Bring in a new CA: old and new count until --finish. Safe to repeat."""
    from mcctl import rotation

    with unlocked(cluster) as ca:
        if finish:
            return run_async(rotation.finish(ca))
        return run_async(rotation.rotate(ca, days))


@app.command()
def revoke(
    who: Annotated[str, typer.Argument(help="A node, an operator, or spiffe://….")],
    reason: Annotated[str, typer.Option(help="For the log, and for whoever is refused.")],
    serial: Annotated[str, typer.Option(help="One certificate only; else all so far.")] = "",
    cluster: ClusterOption = None,
) -> int:
    """Void an identity on every node, open connections included. There is no way back."""
    from mcctl import revoking

    with unlocked(cluster) as ca:
        return run_async(revoking.revoke(ca, who, serial, reason))


@app.command("issue-key")
def issue_key(
    name: Annotated[str, typer.Argument(help="The person or program that will use it.")],
    role: Annotated[str, typer.Option(help="reader, or auditor, who lists and reads no bytes.")],
    datasets: Annotated[str, typer.Option(metavar="GLOB", help="Which datasets.")] = "*",
    days: DaysOption = OPERATOR_DAYS,
) -> None:
    """Issue a key for the S3 endpoint. Its secret is shown now and never again."""
    from mcctl import keys as of_s3

    run_async(of_s3.issue(name, role, datasets, days))


@app.command("keys")
def keys() -> None:
    """The keys of the S3 endpoint, and which of them count."""
    from mcctl import keys as of_s3

    run_async(of_s3.show_all())


@app.command("revoke-key")
def revoke_key(
    which: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or a name: all of its.")],
) -> int:
    """End a key on every node, for ever; open downloads end with it."""
    from mcctl import keys as of_s3

    return run_async(of_s3.revoke(which))
