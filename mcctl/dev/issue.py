"""What a dev cluster is made of: its own CA, an identity and a configuration for each node."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from identity.authority import Authority
from identity.bundle import NodeBundle, OperatorBundle, unpack, write_node_bundle
from identity.files import write_secret
from identity.keys import key_pem, new_key, new_node_id
from identity.names import Identity
from mcctl.dev.folder import Folder
from mcctl.dev.layout import Place
from multicloud.context import Endpoint

HOST = "127.0.0.1"
HOLD_S = 3.0  # From dead to gone: a minute is long to look at a screen.
NODE_DAYS = 90
OPERATOR_DAYS = 30
OPERATOR = "admin"


@dataclass(frozen=True, slots=True)
class Member:
    """A node with everything that tells it from the others."""

    place: Place
    id: str
    api_port: int
    watch_port: int
    http_port: int
    folder: Path

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def address(self) -> str:
        return f"{HOST}:{self.api_port}"

    @property
    def config_file(self) -> Path:
        return self.folder / "nodeagent.toml"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "log"


@dataclass(frozen=True, slots=True)
class LinkPorts:
    """Where one node finds another: through its links."""

    api: int
    watch: int


def member(place: Place, ports: tuple[int, int, int], folder: Folder) -> Member:
    return Member(place, new_node_id(), *ports, folder.node(place.name))


def new_authority(folder: Folder) -> Authority:
    """A CA for this cluster alone. Its passphrase stays beside it: it protects nothing of worth."""
    passphrase = secrets.token_urlsafe(24)
    authority = Authority.create(folder.authority, folder.cluster, passphrase)
    write_secret(folder.passphrase, passphrase.encode() + b"\n")
    return authority


def issue_node(
    authority: Authority, node: Member, *, join: Sequence[str], founder: bool, now_unix_s: float
) -> None:
    """A bundle, as `mcctl cluster issue-node` makes them, unpacked where the daemon looks."""
    identity, key = Identity.node(authority.cluster, node.id), new_key()
    certificate = authority.issue(
        identity, node.name, ["node"], key.public_key(), NODE_DAYS, now_unix_s
    )
    bundle = NodeBundle(
        cluster=authority.cluster,
        id=node.id,
        name=node.name,
        cloud=node.place.cloud,
        region=node.place.region,
        zone=node.place.zone,
        address=node.address,
        watch_address=f"{HOST}:{node.watch_port}",
        join=tuple(join),
        founder=founder,
        certificate_pem=certificate,
        key_pem=key_pem(key),
        trust=authority.trust,
        cluster_key=authority.cluster_key,
    )
    node.folder.mkdir(parents=True, mode=0o700)
    node.state_dir.mkdir(mode=0o700)
    write_node_bundle(node.folder / f"{node.name}.bundle", bundle)
    unpack(bundle, node.folder / "identity")


def issue_operator(
    authority: Authority, nodes: Sequence[Member], now_unix_s: float
) -> OperatorBundle:
    """The admin whose context `dev up` makes."""
    identity, key = Identity.operator(authority.cluster, OPERATOR), new_key()
    certificate = authority.issue(
        identity, OPERATOR, ["admin"], key.public_key(), OPERATOR_DAYS, now_unix_s
    )
    return OperatorBundle(
        cluster=authority.cluster,
        name=OPERATOR,
        endpoints=tuple(Endpoint(node.id, node.name, node.address) for node in nodes),
        certificate_pem=certificate,
        key_pem=key_pem(key),
        trust=authority.trust,
    )


# A machine that runs so many watches at full pace has no time for anything else.
MANY_PEERS = 12
CALM: dict[str, Any] = {"probe_s": 3.0, "suspect_s": 7.5, "silent_s": 20.0}


def write_config(
    cluster: str,
    node: Member,
    links: Mapping[str, LinkPorts],
    *,
    founder: bool,
    traces: Mapping[str, str],
) -> None:
    """`links`: id of a peer to the ports that lead there. They are the only addresses it gets.
    `traces`: of `[telemetry]`.
    """
    text = _toml(
        {
            "node": {
                "id": node.id,
                "name": node.name,
                "cluster": cluster,
                "cloud": node.place.cloud,
                "region": node.place.region,
                "zone": node.place.zone,
                "state_dir": str(node.state_dir),
                "founder": founder,
            },
            "listen": {
                "api": node.address,
                "watch": f"{HOST}:{node.watch_port}",
                "http": f"{HOST}:{node.http_port}",
            },
            "identity": {"dir": str(node.folder / "identity")},
            "watch": {"hold_s": HOLD_S, **(CALM if len(links) >= MANY_PEERS else {})},
            **({"telemetry": traces} if traces else {}),
            "join": {"peers": [f"{HOST}:{link.api}" for link in links.values()]},
            **{
                f"dev.peers.{peer}": {
                    "api": f"{HOST}:{link.api}",
                    "watch": f"{HOST}:{link.watch}",
                }
                for peer, link in links.items()
            },
        }
    )
    descriptor = os.open(node.config_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Strings, numbers, booleans and lists of strings: JSON writes them as TOML does."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
