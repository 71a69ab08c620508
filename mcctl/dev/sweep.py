"""Removes what a dead supervisor has left of its cluster: processes, context, folder, socket."""

from collections.abc import Mapping

from mcctl.dev.folder import MARKER, Folder, root
from mcctl.dev.processes import Known
from multicloud.context import Contexts


def sweep(folder: Folder, cluster_id: str) -> None:
    """Ends what the run file names, then deletes. Only if the folder still is that cluster's."""
    if folder.cluster_id != cluster_id:
        return
    try:
        run = folder.read_run()
    except FileNotFoundError:  # Somebody else is sweeping.
        return
    for fields in run["nodes"].values():
        Known.read(fields).kill()
    remove_context(run["context"], run["config_home"])
    folder.remove(cluster_id)


def remove_context(name: str | None, config_home: str) -> None:
    """Removes the context that the cluster had made, where it had made it."""
    if name is None:
        return
    contexts = Contexts({"XDG_CONFIG_HOME": config_home})
    if name in contexts.names():
        contexts.remove(name)


def sweep_dead(env: Mapping[str, str]) -> list[str]:
    """Cleans up after clusters that nobody runs any more; the names of those."""
    swept = []
    for marker in sorted(root(env).glob(f"*/{MARKER}")):
        folder = Folder(marker.parent, marker.parent.name)
        cluster_id = folder.cluster_id
        if cluster_id is None or _running(folder):
            continue
        sweep(folder, cluster_id)
        if not folder.name.startswith("."):  # Else it had hardly begun, or was almost gone.
            swept.append(folder.cluster)
    return swept


def _running(folder: Folder) -> bool:
    """Somebody owns it: the supervisor, or the guardian that is cleaning up after it."""
    try:
        run = folder.read_run()
    except FileNotFoundError:
        return False
    return Known.read(run["supervisor"]).alive
