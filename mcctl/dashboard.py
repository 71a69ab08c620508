"""`mcctl dashboard`: pages for a browser on this machine, served by this command itself."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from mcctl import show
from mcctl.cli import run_async
from mcctl.options import options
from multicloud.client import Client
from multicloud.context import Contexts
from multicloud.errors import McError

if TYPE_CHECKING:
    from mcctl.web.asking import Cluster

CALL_TIMEOUT_S = 5.0  # Of a node that is silent; then another one is asked.


def dashboard(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0: any that is free.")
    ] = 0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer no button, whatever your role.")
    ] = False,
) -> None:
    """Pages for a browser here, until Ctrl-C: is data safe, does it move, what to type.

    Asks the nodes as you, so it shows and does what your role may. Each printed address opens
    one browser. From afar: `ssh -L 8000:127.0.0.1:8000 HOST mcctl dashboard --port 8000`.
    """
    try:
        from mcctl.web.asking import Cluster
        from mcctl.web.serving import bound, serve_until_signal
    except ModuleNotFoundError as missing:
        if missing.name not in ("starlette", "uvicorn"):
            raise
        what = f"the dashboard needs {missing.name}, which is not installed"
        raise McError("EXTRA_MISSING", what, next="pip install 'multicloud[web]'") from missing
    context = Contexts(os.environ).load(options().context)

    def make() -> Client:
        return Client(context, options().nodes, call_timeout_s=CALL_TIMEOUT_S)

    cluster = Cluster(context, make, read_only=read_only)
    listening = bound(port)
    run_async(serve_until_signal(cluster, listening, _Told(cluster)))


class _Told:
    """The first address is the command's answer; each further one is a note."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._first = True

    def __call__(self, url: str) -> None:
        if not self._first:
            show.note(f"a browser is in; the next one: {url}")
            return
        self._first = False
        me = self._cluster.me()
        show.emit({"url": url, **me}, url)
        may = ", ".join(me["may"]) or "look"
        show.note(f"the cluster {me['cluster']} as {me['operator']}, who may {may}; Ctrl-C ends it")
