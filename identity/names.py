"""Names of identities: who may be called what, and the two forms a certificate carries them in."""

import re
from dataclasses import dataclass
from typing import Literal

from multicloud.errors import McError

Kind = Literal["node", "operator"]

ROLES = ("node", "submitter", "operator", "admin", "auditor", "metrics")
NAME_RULE = "a-z, 0-9, then also . _ -, at most 63 characters"
NODE_ID_RULE = "16 hex digits"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NODE_ID = re.compile(r"[0-9a-f]{16}")
_URI = re.compile(r"spiffe://([^/]+)/(node|operator)/([^/]+)")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_node_id(text: str) -> bool:
    return _NODE_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """Exactly one node or one operator of one cluster."""

    cluster: str
    kind: Kind
    name: str  # A node's id, an operator's name.

    def __post_init__(self) -> None:
        if not is_name(self.cluster):
            raise _refused(f"cluster {self.cluster!r}", NAME_RULE)
        if self.kind == "node" and not is_node_id(self.name):
            raise _refused(f"node id {self.name!r}", NODE_ID_RULE)
        if not is_name(self.name):
            raise _refused(f"{self.kind} {self.name!r}", NAME_RULE)

    @property
    def uri(self) -> str:
        return f"spiffe://{self.cluster}/{self.kind}/{self.name}"

    @property
    def dns_name(self) -> str:
        """What a dialler pins, since gRPC checks DNS names and not URIs."""
        return f"{self.name}.{self.kind}.{self.cluster}"

    @staticmethod
    def node(cluster: str, node_id: str) -> "Identity":
        return Identity(cluster, "node", node_id)

    @staticmethod
    def operator(cluster: str, name: str) -> "Identity":
        return Identity(cluster, "operator", name)

    @staticmethod
    def parse(uri: str) -> "Identity":
        found = _URI.fullmatch(uri)
        if found is None:
            raise _refused(f"identity {uri[:200]!r}", "spiffe://<cluster>/node|operator/<name>")
        cluster, kind, name = found.groups()
        return Identity(cluster, "node" if kind == "node" else "operator", name)

    def __str__(self) -> str:
        return self.uri


def _refused(what: str, rule: str) -> McError:
    return McError("NO_IDENTITY", f"{what} is not a name: the rule is {rule}", next="correct it")
