"""`mcctl dev`: a cluster on this machine with real daemons, real mTLS and emulated clouds."""

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

import typer

from mcctl import show
from mcctl.cli import run_async
from mcctl.dev import ask, layout, tables
from mcctl.dev.folder import Folder, folder_of
from mcctl.dev.sweep import sweep_dead
from mcctl.dev.traces import NO_TRACES, jaeger_at

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", help="Which dev cluster; several may run at once.")]
Node = Annotated[
    str, typer.Argument(metavar="NODE", help="A node's name, as in `mcctl dev status`.")
]
Side = Annotated[
    str, typer.Argument(help="A node, a region (aws/us-east-1, us-east-1) or a cloud.")
]
Others = Annotated[
    str | None, typer.Argument(metavar="[B]", help="The same; without it, all other nodes.")
]
DEFAULT = "dev"


@app.command()
def up(
    nodes: Annotated[int, typer.Option(help="How many, 1 to 20.")] = layout.NODES_DEFAULT,
    clouds: Annotated[
        int, typer.Option(help="Over how many clouds, 1 to 3.")
    ] = layout.CLOUDS_DEFAULT,
    wan: Annotated[
        bool, typer.Option("--wan/--no-wan", help="Delay the links as between real regions.")
    ] = True,
    jaeger: Annotated[
        str,
        typer.Option(
            "--jaeger", metavar="ADDR", help="Send traces there: HOST, or HOST:PORT of OTLP."
        ),
    ] = "",
    name: Name = DEFAULT,
) -> None:
    """Start a cluster; return when all nodes have greeted each other."""
    folder = _folder(name)
    traces = jaeger_at(jaeger)
    places = layout.plan(nodes, clouds)
    if len(places) == 1:
        show.note("one node only: R = W = 1, so there is no second copy of anything")
    described = run_async(bring_up(folder, nodes=nodes, clouds=clouds, wan=wan, traces=traces))
    tables.cluster(described)
    show.next_step(f"`mcctl{tables.context_option(described)} nodes`, then `mcctl dev --help`")
    show.next_step(f"`mcctl{tables.context_option(described)} dashboard` for a browser")


async def bring_up(
    folder: Folder, *, nodes: int, clouds: int, wan: bool, traces: Mapping[str, str] = NO_TRACES
) -> dict[str, Any]:
    """Up, and all have met; what is half up is taken down again."""
    from mcctl.dev import meet  # Brings gRPC, which the other commands do without.

    request = {"do": "up", "nodes": nodes, "clouds": clouds, "wan": wan, "traces": dict(traces)}
    described: dict[str, Any] = await ask.up(folder, request, show.note)
    try:
        await meet.all_met(described["context"], described, show.note)
    except BaseException:
        await ask.down(folder, show.note)
        raise
    return described


@app.command()
def status(name: Name = DEFAULT) -> None:
    """Every node with its process and files; every link that is not as at the start."""
    tables.cluster(_ask(name, {"do": "status"}))


@app.command()
def down(name: Name = DEFAULT) -> None:
    """Stop everything and remove it: processes, folder, context."""
    folder = _folder(name)
    show.emit(run_async(ask.down(folder, show.note)), f"the dev cluster {folder.cluster} is gone")


def _node_command(do: str, said: str) -> Callable[..., None]:
    def command(node: Node, name: Name = DEFAULT) -> None:
        described = _ask(name, {"do": do, "node": node})
        show.emit(described, f"{node} {said}")

    return command


for _do, _said, _help in (
    ("kill", "is killed", "SIGKILL, as a power cut does it."),
    ("stop", "has stopped", "SIGTERM, and wait until it has drained and gone."),
    ("start", "is ready", "Start a node that was stopped or killed."),
    ("restart", "is ready again", "Stop and start."),
    ("wipe", "is ready, and empty", "Stop, empty its state, start; the identity stays."),
    ("pause", "is paused", "SIGSTOP: the node is there, and silent."),
    ("resume", "goes on", "SIGCONT after `pause`."),
):  # fmt: skip
    app.command(_do, help=_help)(_node_command(_do, _said))


@app.command()
def cut(
    a: Side,
    b: Others = None,
    one_way: Annotated[bool, typer.Option("--one-way", help="Only from A to B.")] = False,
    name: Name = DEFAULT,
) -> None:
    """Let nothing pass between A and B. Open connections stay open, new ones hang."""
    tables.links(_ask(name, {"do": "cut", "a": a, "b": b, "one_way": one_way}))


@app.command()
def link(
    a: Side,
    b: Others = None,
    delay_ms: Annotated[
        float | None,
        typer.Option(min=0, max=10_000, help="One way; a round trip takes twice that."),
    ] = None,
    mbit: Annotated[
        float | None, typer.Option(min=0, help="Each direction of each pair of nodes; 0: no limit.")
    ] = None,
    stall: Annotated[bool, typer.Option("--stall", help="What is open now stands still.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="What is open now ends with RST.")] = False,
    name: Name = DEFAULT,
) -> None:
    """Shape the links between A and B, in both directions; without options, show them."""
    request = {"do": "link", "a": a, "b": b, "delay_ms": delay_ms, "mbit": mbit}
    tables.links(_ask(name, {**request, "stall": stall, "reset": reset}))


@app.command()
def heal(
    a: Annotated[str | None, typer.Argument(metavar="[A]", help="As in `cut`; else all.")] = None,
    b: Others = None,
    name: Name = DEFAULT,
) -> None:
    """Links as at the start: no cut, no stall, the delays of the regions. What was held goes on."""
    tables.links(_ask(name, {"do": "heal", "a": a, "b": b}))


@app.command()
def demo(
    mib: Annotated[int, typer.Option(min=1, help="Size of the training set.")] = 1024,
) -> int:
    """Show the whole thing, check each step, and leave nothing behind (DEMO_KEEP=1 leaves it)."""
    from mcctl.dev.demo import run

    _clean()
    return run_async(run(os.environ, mib=mib))


def _folder(name: str) -> Folder:
    _clean()
    return folder_of(name, os.environ)


def _clean() -> None:
    for swept in sweep_dead(os.environ):
        show.note(f"cleaned up after the dev cluster {swept}, whose supervisor had died")


def _ask(name: str, request: dict[str, Any]) -> Any:
    asking: Coroutine[Any, Any, Any] = ask.ask(_folder(name), request, show.note)
    return run_async(asking)
