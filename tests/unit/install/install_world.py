"""A bundle, a machine and a systemd for tests of the installer."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from identity.authority import Authority
from identity.bundle import NodeBundle, write_node_bundle
from identity.keys import key_pem, new_key
from identity.names import Identity
from multicloud.errors import McError
from nodeagent.install.installer import Machine
from nodeagent.install.interpreter import running
from nodeagent.install.places import Places

NODE_ID = "0123456789abcdef"


def bundle_of(authority: Authority, node_id: str = NODE_ID, days: float = 90) -> NodeBundle:
    key = new_key()
    identity = Identity.node(authority.cluster, node_id)
    pem = authority.issue(identity, "aws-a", {"node"}, key.public_key(), days, time.time())
    return NodeBundle(
        cluster=authority.cluster,
        id=node_id,
        name="aws-a",
        cloud="aws",
        region="us-east-1",
        zone="a",
        address="203.0.113.5:17443",
        watch_address="203.0.113.5:17444",
        join=("198.51.100.4:7443",),
        founder=True,
        certificate_pem=pem,
        key_pem=key_pem(key),
        trust=authority.trust,
        cluster_key=authority.cluster_key,
    )


def written(bundle: NodeBundle, folder: Path) -> Path:
    path = folder / f"{bundle.id}.bundle"
    write_node_bundle(path, bundle)
    return path


def storage_only(bundle: NodeBundle) -> NodeBundle:
    return replace(bundle, cluster_key=None)


@dataclass
class FakeSystemd:
    """One more implementation of Service, which remembers and can be told to fail."""

    calls: list[str] = field(default_factory=list)
    running: bool = False
    start_fails: bool = False

    def active(self) -> bool:
        return self.running

    def start(self) -> None:
        self.calls.append("start")
        if self.start_fails:
            raise McError("FAILED", "the daemon said no", next="journalctl says why")
        self.running = True

    def stop(self) -> None:
        self.calls.append("stop")
        self.running = False

    def reload_units(self) -> None:
        self.calls.append("reload_units")


@dataclass
class World:
    machine: Machine
    systemd: FakeSystemd
    said: list[str]

    @property
    def places(self) -> Places:
        return self.machine.places


def world(root: Path, **changes: object) -> World:
    said: list[str] = []
    systemd = FakeSystemd()
    machine = Machine(
        places=Places(root),
        service=systemd,
        python=running(),
        now_unix_s=time.time(),
        user_id=0,
        say=said.append,
        systemd=root,
    )
    return World(replace(machine, **changes), systemd, said)  # type: ignore[arg-type]
