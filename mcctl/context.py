"""`mcctl context …`: which cluster the commands talk to, and as whom."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from identity.bundle import read_operator_bundle
from identity.certificate import check_time, read_certificate, rfc3339
from identity.files import read_public
from identity.records import read_trust_json, trust_json
from identity.trust import verify_trust
from mcctl import show
from mcctl.options import options
from multicloud.context import CONFIRM_USD_DEFAULT, Context, Contexts
from multicloud.errors import McError

app = typer.Typer(no_args_is_help=True)


@app.command("ls")
def ls() -> None:
    """Every context, the current one marked."""
    contexts = Contexts()
    current = contexts.current()
    found = [_about(contexts, name, current) for name in contexts.names()]
    rows = [
        [
            "*" if one["current"] else "",
            one["name"],
            one["cluster"] or "-",
            one["identity"] or "-",
            str(len(one["endpoints"])),
            one["certificate_end_time"] or show.Cell(one["problem"], "red"),
        ]
        for one in found
    ]
    table = show.Table(["", "name", "cluster", "you", ">nodes", "until"], rows)
    show.emit(found, table if found else "no contexts")
    if not found:
        show.next_step("mcctl dev up, or mcctl context import FILE")


def _about(contexts: Contexts, name: str, current: str) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "current": name == current}
    try:
        context = contexts.load(name)
        holder = read_certificate(context.certificate_pem)
    except McError as error:  # One damaged context must not hide the others.
        empty: dict[str, Any] = {"cluster": None, "identity": None, "roles": [], "endpoints": []}
        return {**about, **empty, "certificate_end_time": None, "problem": error.message}
    return {
        **about,
        "cluster": context.cluster,
        "identity": holder.identity.uri,
        "roles": sorted(holder.roles),
        "endpoints": [
            {"id": e.id, "name": e.name, "address": e.address} for e in context.endpoints
        ],
        "certificate_end_time": rfc3339(holder.not_after_unix_s),
        "problem": "",
        "confirm_usd": context.confirm_usd,
    }


@app.command()
def use(name: Annotated[str, typer.Argument(help="As `context ls` shows it.")]) -> None:
    """Make a context the current one."""
    contexts = Contexts()
    contexts.use(name)
    show.emit({"context": name}, f"{name} is current")
    if contexts.current() != name:
        show.note(f"but MC_CONTEXT says {contexts.current()}, which wins while it is set")
    show.next_step("mcctl status")


@app.command("set")
def set_(
    confirm_usd: Annotated[
        float,
        typer.Option(
            "--confirm-usd", metavar="USD", min=0, help="A job that costs more is asked about."
        ),
    ],
) -> None:
    """Change what the context chooses: above which dollars `mcctl submit` asks first."""
    contexts = Contexts()
    context = replace(contexts.load(options().context), confirm_usd=confirm_usd)
    contexts.save(context)
    value = {"context": context.name, "confirm_usd": confirm_usd}
    show.emit(value, f"{context.name}: asks above ${confirm_usd:.2f}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An operator's bundle.")],
    name: Annotated[str, typer.Option(help="Of the context; else the cluster's name.")] = "",
) -> None:
    """Take an operator's bundle as a context of this account."""
    imported(file, name)


def imported(file: Path, name: str) -> None:
    bundle = read_operator_bundle(file)
    check_time(bundle.holder, time.time())
    contexts = Contexts()
    name = name or bundle.cluster
    if name in contexts.names() and not _may_replace(contexts, name, bundle.identity.uri):
        raise McError(
            "ALREADY_EXISTS",
            f"the context {name} is there already, for somebody or something else",
            next=f"another name: mcctl context import {file} --name NAME",
        )
    context = Context(
        name=name,
        cluster=bundle.cluster,
        endpoints=bundle.endpoints,
        certificate_pem=bundle.certificate_pem,
        key_pem=bundle.key_pem,
        trust_json=trust_json(bundle.trust),
        confirm_usd=_confirm_usd(contexts, name),
    )
    contexts.save(context)
    current = contexts.current() == name
    end = rfc3339(bundle.holder.not_after_unix_s)
    show.emit(
        {
            "context": name,
            "current": current,
            "identity": bundle.identity.uri,
            "certificate_end_time": end,
        },
        f"context {name}: you are {bundle.identity} until {end}; {file} may be deleted now",
    )
    show.next_step("mcctl status" if current else f"mcctl context use {name}")


def _confirm_usd(contexts: Contexts, name: str) -> float:
    """A newer bundle does not change what was chosen here."""
    try:
        return contexts.load(name).confirm_usd
    except McError:
        return CONFIRM_USD_DEFAULT


def _may_replace(contexts: Contexts, name: str, identity: str) -> bool:
    """The same operator's newer bundle takes the place of the older one."""
    try:
        known = read_certificate(contexts.load(name).certificate_pem)
    except McError:
        return show.confirm(f"The context {name} is damaged. Replace it?")
    return known.identity.uri == identity


@app.command()
def trust(
    file: Annotated[Path, typer.Argument(help="trust.json, as the authority's folder has it.")],
) -> None:
    """Take a newer trust bundle, when a CA that counts here has signed it."""
    contexts = Contexts()
    context = contexts.load(options().context)
    new = read_trust_json(read_public(file))
    verify_trust(new, read_trust_json(context.trust_json))
    contexts.save(replace(context, trust_json=trust_json(new)))
    value = {
        "context": context.name,
        "trust_version": new.version,
        "ca_certificates": len(new.ca_certificates),
    }
    show.emit(value, f"{context.name}: trust version {new.version} counts now")
    show.next_step("mcctl status")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="As `context ls` shows it.")]) -> int:
    """Forget a context and its key. The cluster does not notice."""
    contexts = Contexts()
    if name not in contexts.names():
        contexts.load(name)  # Says that there is none, and which there are.
    if not show.confirm(f"Remove the context {name} and its key from this account?"):
        show.note("nothing was removed")
        return 1
    contexts.remove(name)
    show.emit({"removed": name}, f"{name} is removed")
    return 0
