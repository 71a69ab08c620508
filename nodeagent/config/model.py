"""Every option of a node: type, limits, default, the reason for it, and whether a reload takes it.

This file is the only list of options. `config/nodeagent.toml`, the JSON Schema and
`mcctl config explain` are made from it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

ADDRESS = r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"

Address = Annotated[str, StringConstraints(pattern=ADDRESS)]
Name = Annotated[str, StringConstraints(pattern=NAME)]


def option(default: Any, why: str, *, reload: bool = False, **limits: Any) -> Any:
    """An option of the configuration. `why` is one or two sentences for the person who edits it."""
    extra: JsonDict = {"reload": reload}
    if isinstance(default, (list, dict)):
        return Field(
            default_factory=lambda: type(default)(default),
            description=why,
            json_schema_extra=extra,
            **limits,
        )
    return Field(default=default, description=why, json_schema_extra=extra, **limits)


def required(why: str, **limits: Any) -> Any:
    return Field(description=why, json_schema_extra={"reload": False}, **limits)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, hide_input_in_errors=True)


class Node(Section):
    """Who this node is and where it stands. Written by `nodeagentd install`."""

    id: str = required("The id in the certificate; 16 hex digits. It never changes.", pattern=r"^[0-9a-f]{16}$")
    name: Name = required("What people call this node.")
    cluster: Name = required("The cluster it belongs to; the trust domain of its certificate.")
    cloud: Name = required("aws, gcp, azure, or a name of your own. Copies are spread over clouds.")
    region: Name = required("The cloud's region. Round-trip times and prices go by it.")
    zone: str = option("", "The zone inside the region. Empty: the node is a failure domain of its own.", pattern=r"^([a-z0-9][a-z0-9._-]{0,62})?$")
    state_dir: Path = option(Path("/var/lib/multicloud"), "Everything that must survive a restart. Only one daemon uses it.")
    founder: bool = option(False, "True on the first node of a cluster only: it may open the council once.")


class Advertise(Section):
    """An address that peers may use. They try networks that they share first."""

    network: Name = required("Its name: peers with an address on the same network prefer it.")
    api: Address = required("host:port of the API as peers see it.")
    watch: Address | None = option(None, "host:port of the watch as peers see it. Empty: the host of api with port 7444.")


class Listen(Section):
    """Where this node listens."""

    api: Address = option("0.0.0.0:7443", "The API and the data, mTLS always.")
    watch: Address = option("0.0.0.0:7444", "The watch, apart from the data, mTLS always.")
    http: str = option("127.0.0.1:7480", "/livez /readyz /metrics without secrets; empty switches it off. Loopback unless a scraper needs it.", pattern=r"^$|" + ADDRESS)


class Identity(Section):
    """Certificates and keys. A renewed certificate is kept in the state folder and wins over the first one."""

    dir: Path = option(Path("/etc/multicloud/identity"), "node.crt, node.key, trust.json and, unless storage-only, cluster.key. Under systemd the unit's credentials take its place.")


class Join(Section):
    """How the first peers are found."""

    peers: list[Address] = option([], "Addresses of a few other nodes. One that answers is enough.", reload=True, max_length=64)
    greet_every_s: float = option(1.0, "How often peers are greeted. Revocations travel by it, so it bounds how soon they bite.", reload=True, ge=0.1, le=2.0)
    greet_timeout_s: float = option(2.0, "A peer that has not answered by then is unreachable for now.", reload=True, ge=0.2, le=10.0)


class Limits(Section):
    """Bounds for whatever comes from outside. None can be switched off."""

    handshake_timeout_s: float = option(2.0, "A connection that has not finished TLS by then is closed; 600 idle ones must not lock others out.", ge=0.5, le=30.0)
    streams_per_connection_max: int = option(64, "Calls at once on one connection; the rest is refused by gRPC itself.", ge=4, le=1024)
    message_bytes_max: int = option(4 << 20, "Largest message, after decompression.", ge=1 << 20, le=16 << 20)
    control_message_bytes_max: int = option(64 << 10, "Largest request of a control call.", reload=True, ge=4 << 10, le=4 << 20)
    metadata_bytes_max: int = option(16 << 10, "Largest headers of a call.", ge=4 << 10, le=64 << 10)
    connections_per_address_max: int = option(256, "Open calls from one address at once.", reload=True, ge=8, le=4096)
    connection_idle_s: int = option(300, "An idle connection is closed after this.", ge=10, le=86400)
    connection_age_s: int = option(3600, "A connection is renewed after this, so that a certificate is looked at again.", ge=60, le=86400)
    deadline_s_max: float = option(60.0, "A control call without a shorter deadline gets this one.", reload=True, ge=1, le=600)
    stream_stall_s: float = option(30.0, "A stream that stands still for so long is ended.", reload=True, ge=1, le=600)
    bytes_in_flight_per_peer_max: int = option(64 << 20, "Bytes of one peer that wait in this node.", reload=True, ge=4 << 20, le=4 << 30)
    bytes_in_flight_max: int = option(128 << 20, "Bytes of all peers that wait in this node.", reload=True, ge=8 << 20, le=16 << 30)
    control_calls_per_s: float = option(50.0, "Control calls of one identity, sustained.", reload=True, ge=1, le=100000)
    control_calls_burst: int = option(200, "Control calls of one identity, at once.", reload=True, ge=1, le=100000)
    denied_calls_per_s: float = option(5.0, "Refusals of one identity that are written to the audit log; the rest is counted.", reload=True, ge=1, le=1000)


class Shutdown(Section):
    """How the daemon goes."""

    drain_s: float = option(30.0, "On SIGTERM open streams have this long to finish; a second SIGTERM stops at once.", reload=True, ge=0, le=600)


class Audit(Section):
    """The log of every mutating or denied call."""

    file_bytes_max: int = option(64 << 20, "A file of the log is closed at this size and the next begins, chained to it.", ge=1 << 20, le=1 << 30)
    head_every_s: float = option(10.0, "How often the head of the log is signed and left with peers.", reload=True, ge=1, le=3600)


class Telemetry(Section):
    """Logs, traces and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = option("info", "What is written to stdout.", reload=True)
    log_format: Literal["json", "text"] = option("json", "json for journald, text for a person's terminal.")
    otlp_endpoint: str = option("", "http://host:4317 of an OTLP collector such as Jaeger; empty: none. It may be down without harm.", pattern=r"^(https?://.+)?$")
    otlp_metrics: bool = option(False, "Send metrics to the collector too; /metrics is always there.")
    trace_one_in: int = option(1, "One call or chunk in so many is traced; failed ones always.", reload=True, ge=1, le=1_000_000)
    queue_spans_max: int = option(4096, "Spans that wait for the collector; more are dropped and counted.", ge=64, le=1 << 20)


class DevPeer(Section):
    """Where a peer is reached through the dev cluster's links."""

    api: Address = required("The link to its API.")
    watch: Address = required("The link to its watch.")


class Dev(Section):
    """For the dev cluster only: it writes this itself."""

    peers: dict[str, DevPeer] = option({}, "Peer id to the link that leads to it.")


class Config(Section):
    """A node's configuration."""

    node: Node
    advertise: list[Advertise] = option([], "Addresses that peers may use; empty: the one that it listens on.", max_length=8)
    listen: Listen = Field(default_factory=Listen)
    identity: Identity = Field(default_factory=Identity)
    join: Join = Field(default_factory=Join)
    limits: Limits = Field(default_factory=Limits)
    shutdown: Shutdown = Field(default_factory=Shutdown)
    audit: Audit = Field(default_factory=Audit)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    dev: Dev = Field(default_factory=Dev)
