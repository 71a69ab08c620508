"""A node's first configuration: what its bundle says, and nothing that is at its default."""

from pathlib import Path
from typing import Any

from identity.bundle import NodeBundle
from multicloud.errors import McError
from nodeagent.config.kinds import port_of
from nodeagent.config.load import Loaded, load
from nodeagent.config.model import Listen
from nodeagent.config.toml import as_file
from nodeagent.install.places import Places

HEAD = """\
# Written by `nodeagentd install`. Every other option is at its default; all of them, with limits
# and reasons, are in /opt/multicloud/current/share/nodeagent.toml. After a change:
#   nodeagentd check-config && systemctl reload nodeagentd

"""


def text_for(bundle: NodeBundle) -> str:
    node: dict[str, Any] = {
        "id": bundle.id,
        "name": bundle.name,
        "cluster": bundle.cluster,
        "cloud": bundle.cloud,
        "region": bundle.region,
    }
    if bundle.zone:
        node["zone"] = bundle.zone
    if bundle.founder:
        node["founder"] = True
    public = {"network": "public", "api": bundle.address}
    if bundle.watch_address:
        public["watch"] = bundle.watch_address
    tree: dict[str, Any] = {"node": node, "advertise": [public]}
    if listen := _listen(bundle):
        tree["listen"] = listen
    if bundle.join:
        tree["join"] = {"peers": list(bundle.join)}
    return HEAD + as_file(tree)


def listen_of(bundle: NodeBundle, there: Loaded | None) -> Listen:
    """Where the node will listen: what is installed already counts."""
    return there.config.listen if there else Listen.model_validate(_listen(bundle))


def _listen(bundle: NodeBundle) -> dict[str, str]:
    """Another port than usual is listened on as it is advertised."""
    usual, found = Listen(), {}
    for key, address in (("api", bundle.address), ("watch", bundle.watch_address)):
        here = getattr(usual, key)
        if address and port_of(address) != port_of(here):
            found[key] = f"{here.rpartition(':')[0]}:{port_of(address)}"
    return found


def installed(places: Places) -> Loaded | None:
    """The configuration that is there already. One that is wrong stops the installation."""
    return load(places.config, {}, {}) if places.config.exists() else None


def refuse_other_node(there: Loaded | None, bundle: NodeBundle, config: Path) -> None:
    if there is None:
        return
    node = there.config.node
    if (node.cluster, node.id) != (bundle.cluster, bundle.id):
        raise McError(
            "ALREADY_EXISTS",
            f"{config} makes this machine {node.name} ({node.id}) of {node.cluster}; "
            f"the bundle is of {bundle.name} ({bundle.id}) of {bundle.cluster}",
            next="use the bundle of that node, or first `nodeagentd uninstall --purge`",
        )
