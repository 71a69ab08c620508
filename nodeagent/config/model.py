"""Every option of a node: type, limits, default, the reason for it, and whether a reload takes it.

This file is the only list of options. `config/nodeagent.toml`, the JSON Schema and
`mcctl config explain` are made from it.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from nodeagent.config.kinds import (
    BUCKET,
    BUCKET_NAME,
    ENDPOINT,
    FILE,
    HTTP,
    LOOPBACK,
    NODE_ID,
    OPTIONAL_NODE_ID,
    REFERENCE,
    REGION,
    TOPIC,
    ZONE,
    AbsolutePath,
    Address,
    ListenAddress,
    Name,
    Section,
    option,
    port_of,
    required,
    unless,
)


class Node(Section):
    """Who this node is and where it stands. Written by `nodeagentd install`."""

    id: str = required("The id in the certificate. It never changes.", "0123456789abcdef", pattern=NODE_ID)
    name: Name = required("What people call this node.", "aws-a")
    cluster: Name = required("The cluster it belongs to; the trust domain of its certificate.", "prod")
    cloud: Name = required("aws, gcp, azure, or a name of your own. Copies are spread over clouds.", "aws")
    region: Name = required("The cloud's region. Round-trip times and prices go by it.", "us-east-1")
    zone: str = option("", "The zone inside the region. Empty: the node is a failure domain of its own.", pattern=ZONE)
    state_dir: AbsolutePath = option(Path("/var/lib/multicloud"), "Everything that must survive a restart. Only one daemon uses it.")
    founder: bool = option(False, "True on the first node of a cluster only: it may open the council once, within a day of its identity, and not before one of the others in join.peers has answered.")


class Advertise(Section):
    """An address that peers may use. They try networks that they share first."""

    network: Name = required("Its name: peers with an address on the same network prefer it.", "public")
    api: Address = required("host:port of the API as peers see it.", "203.0.113.5:7443")
    watch: Address | None = option(None, "host:port of the watch as peers see it. Empty: the host of api with port 7444.", examples=["203.0.113.5:7444"])

    @model_validator(mode="after")
    def _rules(self) -> Self:
        for key, address in (("api", self.api), ("watch", self.watch)):
            if address is not None:
                unless(address.rpartition(":")[0] not in ("0.0.0.0", "[::]"), key, "must be an address that others can dial, not every interface")  # noqa: S104
        return self


class Listen(Section):
    """Where this node listens."""

    api: ListenAddress = option("0.0.0.0:7443", "The API and the data, mTLS always.")
    watch: ListenAddress = option("0.0.0.0:7444", "The watch, apart from the data, mTLS always.")
    http: str = option("127.0.0.1:7480", "/livez /readyz /metrics without secrets; empty switches it off. Loopback unless a scraper needs it.", pattern=HTTP)
    http_public: bool = option(False, "Says that you know: whoever reaches the address of http may read it. Needed when that is not loopback.")

    s3: str = option("", "The read-only S3 endpoint, TLS always and signed requests, such as 0.0.0.0:7481; empty: off. Keys: `mcctl cluster issue-key`.", pattern=HTTP)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        host = self.http.rpartition(":")[0]
        loopback = host in ("", "localhost", "[::1]") or host.startswith("127.")
        unless(loopback or self.http_public, "http", "is readable without a certificate: keep it on 127.0.0.1, or say http_public = true")
        ports = [port for port in map(port_of, (self.api, self.watch, self.http, self.s3)) if port]
        unless(len(ports) == len(set(ports)), "api", "api, watch, http and s3 each need a port of their own")
        return self


class S3(Section):
    """The read-only S3 endpoint, where listen.s3 has an address."""

    certificate: str = option("", "A certificate chain (PEM) that your tools trust. Empty: the node's own, for <id>.node.<cluster>, of the cluster's CA. Replaced files count from the next connection on.", pattern=FILE)
    key: str = option("", "Its key (PEM), readable by nobody else.", pattern=FILE)
    connections_max: int = option(256, "Connections at once; one more is answered with 503.", ge=4, le=4096)
    reads_at_once_max: int = option(16, "Files that are sent at the same time, with a few MiB of memory each; others wait their turn.", ge=1, le=256)
    stall_s: float = option(30.0, "A client that neither asks nor takes anything for so long is cut off.", ge=1, le=600)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        unless(bool(self.certificate) == bool(self.key), "key", "certificate and key are given together, or neither")
        return self


class Identity(Section):
    """Certificates and keys. A renewed certificate is kept in the state folder and wins over the first one."""

    dir: AbsolutePath = option(Path("/etc/multicloud/identity"), "node.crt, node.key, trust.json and, unless storage-only, cluster.key. Under systemd the unit's credentials take its place.")


class Join(Section):
    """How the first peers are found."""

    peers: list[Address] = option([], "Addresses of a few other nodes. One that answers is enough.", reload=True, max_length=64)
    greet_every_s: float = option(1.0, "How often a quarter of the neighbours is greeted. Revocations and new CAs are told at once; greetings mend what was missed.", reload=True, ge=0.1, le=2.0)
    greet_timeout_s: float = option(2.0, "A peer that has not answered by then is unreachable for now.", reload=True, ge=0.2, le=10.0)


class Watch(Section):
    """How others are watched. The same on every node of a cluster."""

    probe_s: float = option(0.5, "How often a watched node is asked whether it is there.", ge=0.1, le=5)
    suspect_s: float = option(1.2, "Silent for so long, it is not chosen any more; nothing else happens yet.", ge=0.2, le=30)
    silent_s: float = option(3.5, "Silent for so long, its observer votes it dead. A pause up to half a second shorter is no death.", ge=1, le=120)
    hold_s: float = option(60.0, "From dead to gone: only then are its copies made anew elsewhere. A restart within that time costs nothing.", ge=0, le=86400)


class Council(Section):
    """How decisions are made that everybody must keep to: names, outcomes, removals."""

    decide_s: float = option(5.0, "What no majority of the council has taken by then is refused, with the members that are missing.", reload=True, ge=0.5, le=60)
    call_s: float = option(1.5, "A member that has not answered by then is asked again.", reload=True, ge=0.1, le=30)
    replace_after_s: float = option(600.0, "A member that is away for so long loses its seat to another node, while a majority is there to decide it.", reload=True, ge=1, le=604800)
    settle_s: float = option(1.0, "A better council must be possible for so long before its members change: a cluster that starts changes them once.", reload=True, ge=0.1, le=600)
    found_after_s: float = option(5.0, "While no other node greets it, the founder listens for so long for a council that exists already, before it opens the first.", ge=0, le=600)


class Limits(Section):
    """Bounds for whatever comes from outside. None can be switched off."""

    handshake_timeout_s: float = option(2.0, "A connection that has not finished TLS by then is closed; 600 idle ones must not lock others out.", ge=0.5, le=30.0)
    streams_per_connection_max: int = option(64, "Calls at once on one connection; the rest is refused by gRPC itself.", ge=4, le=1024)
    message_bytes_max: int = option(4 << 20, "Largest message, after decompression.", ge=1 << 20, le=16 << 20)
    control_message_bytes_max: int = option(64 << 10, "Largest request of a control call.", reload=True, ge=4 << 10, le=4 << 20)
    metadata_bytes_max: int = option(16 << 10, "Largest headers of a call.", ge=4 << 10, le=64 << 10)
    calls_per_address_max: int = option(256, "Open calls from one address at once.", reload=True, ge=8, le=4096)
    connection_idle_s: int = option(300, "An idle connection is closed after this.", ge=10, le=86400)
    connection_age_s: int = option(3600, "A connection is renewed after this, so that a certificate is looked at again.", ge=60, le=86400)
    deadline_s_max: float = option(60.0, "A control call without a shorter deadline gets this one.", reload=True, ge=1, le=600)
    stream_stall_s: float = option(30.0, "A stream that stands still for so long is ended.", reload=True, ge=1, le=600)
    reach_s: float = option(5.0, "A node that has not let in a stream of data by then is failed, and a spare takes its place.", reload=True, ge=0.5, le=60)
    chunks_per_call_max: int = option(1024, "Chunks that one control call may name.", reload=True, ge=1, le=1024)
    bytes_in_flight_per_peer_max: int = option(64 << 20, "Bytes of one peer that wait in this node.", reload=True, ge=4 << 20, le=4 << 30)
    bytes_in_flight_max: int = option(128 << 20, "Bytes of all peers that wait in this node.", reload=True, ge=8 << 20, le=16 << 30)
    control_calls_per_s: float = option(50.0, "Control calls of one identity, sustained.", reload=True, ge=1, le=100000)
    control_calls_burst: int = option(200, "Control calls of one identity, at once.", reload=True, ge=1, le=100000)
    denied_calls_per_s: float = option(5.0, "Refusals of one identity that are written to the audit log; the rest is counted.", reload=True, ge=1, le=1000)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        unless(self.bytes_in_flight_per_peer_max <= self.bytes_in_flight_max, "bytes_in_flight_per_peer_max", "must not be more than bytes_in_flight_max, the bound for all peers together")
        unless(self.control_message_bytes_max <= self.message_bytes_max, "control_message_bytes_max", "must not be more than message_bytes_max")
        unless(self.message_bytes_max <= self.bytes_in_flight_per_peer_max, "message_bytes_max", "must not be more than bytes_in_flight_per_peer_max: one message has to fit")
        unless(self.control_calls_burst >= self.control_calls_per_s, "control_calls_burst", "must not be less than control_calls_per_s")
        return self


class Volume(Section):
    """A place where chunks are kept. One entry for each disk."""

    dir: AbsolutePath = required("The folder that is the volume. An empty one becomes a new volume, a wrong or missing disk is refused. Under systemd name it in ReadWritePaths= of a drop-in too.", "/mnt/disk1/multicloud")


class BucketVolume(Section):
    """A volume in a bucket, beside the disks: it holds the copies that jobs want with --bucket-copy."""

    uri: str = required("Where in which bucket it is. One node serves a place, and no second one.", "s3://corpus-copies/prod", pattern=BUCKET)
    endpoint: str = option("", "The name of the bucket's endpoint in [clouds.endpoints]; empty: the cloud itself.", examples=["minio"], pattern=ZONE)
    quota_bytes: int = option(1 << 40, "Chunks take so much room there at most.", examples=[1 << 40], ge=1 << 20, le=1 << 60)
    adopt_from: str = option("", "The id of a node that is gone for good and served it until now: it is taken over from that one.", examples=["0123456789abcdef"], pattern=OPTIONAL_NODE_ID)
    cloud: str = option("", "The bucket's cloud, as [node] names clouds. Empty: that of s3, gs or az; with an endpoint the node's.", examples=["aws"], pattern=ZONE)
    region: str = option("", "The bucket's region. Empty: as the cloud says, else the node's.", examples=["us-east-1"], pattern=ZONE)


class Store(Section):
    """How chunks are kept on the volumes."""

    write: Literal["auto", "direct", "buffered"] = option("auto", "direct goes past the page cache, buffered through it and flushes early; auto tries both at each start and takes what the volume likes best.")
    reserve_bytes: int = option(1 << 30, "Puts leave so much free on each volume, or 5 % if that is more, but never more than a fifth of the disk: reads, deletes and repair go on.", ge=0, le=1 << 44)
    writers_max: int = option(4, "Threads that write at once on each volume; direct ones take 12 MiB each. More puts than that take turns.", ge=1, le=64)
    readers_max: int = option(4, "Threads that read at once on each volume.", ge=1, le=64)


class Process(Section):
    """The processing of records, in worker processes of their own."""

    workers: int = option(0, "Worker processes; 0: one for each core.", ge=0, le=256)
    memory_bytes_max: int = option(2 << 30, "Memory of one worker, beyond what it has at its start. A step that needs more fails its task.", ge=256 << 20, le=1 << 40)
    step_timeout_s: float = option(300.0, "A worker that shows no sign of life for so long is ended.", ge=5, le=86400)
    calls: list[str] = option([], "Functions that `python` steps may call: module:function, or module:* for all of a module. They run as this node's user, shut in.", examples=[["acme.clean:normalise"]], max_length=256)
    python_path: list[AbsolutePath] = option([], "Folders of the modules that `python` steps call.", max_length=64)


class Source(Section):
    """What this node may read for jobs from its own disks: node://NAME/path."""

    roots: list[AbsolutePath] = option([], "Folders that jobs may read, with all that is in them; links never lead out. Empty: none. Whoever may submit may read them, as the daemon's user can.", reload=True, examples=[["/data/sets"]], max_length=64)
    reads_at_once_max: int = option(4, "Threads that list and read such folders.", ge=1, le=64)


class Endpoint(Section):
    """A cloud's storage as this node reaches it: the cloud itself with credentials of its own, or something compatible."""

    kind: Literal["s3", "gs", "az"] = required("Which API it speaks.", "s3")
    url: str = option("", "Where it is; empty: the cloud itself. Without TLS only on this machine. az: with the account, as https://host/ACCOUNT.", examples=["https://storage.example:9000"], pattern=ENDPOINT)
    region: str = option("", "Its region, where the cloud does not say; nodes of that region read from it.", examples=["eu-central-1"], pattern=REGION)
    checksum: Literal["auto", "aws", "compat"] = option("auto", "s3: aws sends CRC32 and compares it, compat Content-MD5, which older servers know too; auto takes aws where url is empty.")
    credentials: str = option("", "Where this node's credentials lie, never they themselves: file:/PATH (0600), env:NAME, secret://systemd/NAME, or anonymous. Read anew when they change. Empty: the machine's role and each cloud's own chain.", examples=["secret://systemd/storage"], pattern=REFERENCE)
    ca_file: AbsolutePath | None = option(None, "The CA that signed the endpoint's certificate, as PEM. Empty: those of the system.", examples=["/etc/ssl/certs/storage-ca.pem"])
    reads: list[Annotated[str, StringConstraints(pattern=BUCKET_NAME)]] = option([], "Buckets that jobs read: `mcctl check` tries each. It limits nothing.", examples=[["corpus"]], max_length=64)
    writes: list[Annotated[str, StringConstraints(pattern=BUCKET_NAME)]] = option([], "Buckets that this node writes: `mcctl check` tries what they promise, with an object that it deletes. It limits nothing.", examples=[["copies"]], max_length=64)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        loopback = LOOPBACK.match(self.url) is not None
        unless(not self.url.startswith("http://") or loopback, "url", "would send data in the clear: use https, http only to this machine")
        return self


class Clouds(Section):
    """How this node uses buckets of clouds. Nothing of it is loaded before a job or a volume needs it."""

    requests_at_once_max: int = option(32, "Requests at once to one endpoint.", ge=1, le=256)
    requests_per_s_max: float = option(1000.0, "Requests a second to one bucket. It begins with a tenth, finds out what the bucket bears, and stays below.", reload=True, ge=1, le=100000)
    tries_max: int = option(6, "How often a request is made when the cloud is busy or not reached, with growing pauses; those that it asks for are kept.", reload=True, ge=1, le=20)
    silent_s: float = option(30.0, "A request without a byte for so long is ended.", ge=1, le=600)
    endpoints: dict[str, Endpoint] = option({}, "By a name of yours, which sources and volumes use. S3, Google Cloud Storage and Azure themselves need no entry.")


class Web(Section):
    """What this node reads from web servers for jobs: https:// and lists of such addresses. Public servers only, unless they are named."""

    allow: list[str] = option([], "Hosts, addresses and networks that are not public and that jobs may read all the same. Whoever may submit may read them then.", examples=[["data.internal", "10.1.0.0/16"]], max_length=256)
    plain: bool = option(False, "Whether http:// may be read, too: nobody knows then whose bytes they are.")
    ca_file: str = option("", "A CA more to trust, as PEM: that of servers of your own.", pattern=FILE, examples=["/etc/ssl/certs/internal-ca.pem"])
    silent_s: float = option(30.0, "A server that sends nothing for so long is given up.", ge=0.1, le=600)
    object_bytes_max: int = option(1 << 40, "Larger files are skipped. One of a server without ranges is kept on the disk under node.state_dir while it is read.", ge=1, le=1 << 50)


class Sink(Section):
    """Where events go. The same on all nodes that may send them: one of them does."""

    name: Name = required("Its name. Another name is another sink, which begins anew.", "pager")
    kind: Literal["webhook", "kafka", "nats"] = required("What takes them.", "webhook")
    url: str = option("", "webhook: where each event is posted. https, http only to this machine.", examples=["https://hooks.example/mc"], pattern=ENDPOINT)
    servers: list[Address] = option([], "kafka, nats: brokers, as host:port.", examples=[["broker.example:9093"]], max_length=32)
    topic: str = option("", "kafka: the topic. nats: subjects begin with it, and end with the kind of the event.", pattern=TOPIC)
    kinds: list[str] = option([], "Which events, such as job.* or version.decided. Empty: all.", examples=[["job.*"]], max_length=32)
    secret: str = option("", "Where the secret lies: file:/PATH (0600), env:NAME, secret://systemd/NAME. webhook: whsec_…; kafka, nats: USER:PASSWORD.", examples=["secret://systemd/hook"], pattern=REFERENCE)
    private: bool = option(False, "webhook: its host may have an address that is not public.")
    tls: bool = option(True, "kafka, nats: false only for brokers on this machine.")
    ca_file: str = option("", "A CA more to trust, as PEM.", pattern=FILE)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        hook = self.kind == "webhook"
        unless(bool(self.url) == hook, "url", "a webhook needs it, others have servers")
        unless(not self.url.startswith("http://") or LOOPBACK.match(self.url) is not None, "url", "would be told in the clear: use https, http only to this machine")
        unless(not hook or bool(self.secret), "secret", "a webhook is signed: say where its secret lies")
        unless(self.secret not in ("anonymous",), "secret", "leave it empty for a broker that asks for none")
        unless(hook or bool(self.servers and self.topic), "servers", "kafka and nats need servers and a topic")
        here = all(LOOPBACK.match(f"http://{server}/") for server in self.servers)
        unless(self.tls or here, "tls", "only brokers on this machine may do without it")
        return self


class Events(Section):
    """Events of jobs, versions and nodes, told to others."""

    waiting_max: int = option(100_000, "Events of one sink that may wait on the disk; of more, the oldest are dropped and counted.", ge=100, le=10_000_000)
    sinks: list[Sink] = option([], "Who is told.", max_length=16)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        names = [sink.name for sink in self.sinks]
        unless(len(names) == len(set(names)), "sinks", "has a name twice: one entry for each")
        return self


class Work(Section):
    """What this node does for jobs. A node without the cluster key stores and works on nothing."""

    slots: int = option(4, "Tasks at once, over all jobs: while one is read another is sealed and a third is on the wire.", reload=True, ge=1, le=256)
    bytes_max: int = option(128 << 20, "Bytes that all tasks together may hold: what is read ahead, and chunks that are made of records until they are acked.", reload=True, ge=8 << 20, le=1 << 40)
    unsafe_max: int = option(64, "Results that are acked and wait for their last copies; with more no new task is taken.", reload=True, ge=1, le=65536)


class Shutdown(Section):
    """How the daemon goes."""

    drain_s: float = option(30.0, "On SIGTERM open streams have this long to finish; a second SIGTERM stops at once.", reload=True, ge=0, le=600)


class Upkeep(Section):
    """What a node does for its chunks by itself: reads them again, repairs, empties its trash."""

    look_every_s: float = option(60.0, "How often a node looks which chunks are due to be read again.", reload=True, ge=0.1, le=3600)
    scrub_within_s: float = option(604800.0, "Every byte is read and checked again within this time; 7 days find rot while other copies are good. Young chunks are read sooner.", reload=True, ge=60, le=31_536_000)
    scrub_bytes_per_s_max: int = option(32 << 20, "How fast chunks are read again, and only while nobody else needs the disk. The window wins where it asks for more.", reload=True, ge=1 << 20, le=16 << 30)
    repair_at_once_max: int = option(4, "Damaged chunks that are repaired at the same time.", reload=True, ge=1, le=64)
    repair_bytes_per_s_max: int = option(128 << 20, "How fast good copies are asked for.", reload=True, ge=1 << 20, le=16 << 30)
    evidence_keep_s: float = option(86400.0, "A damaged file is kept so long at least, and until enough good copies are proven.", reload=True, ge=0, le=31_536_000)
    trash_every_s: float = option(3600.0, "How often a node looks for chunks that nothing names any more, and into its trash.", reload=True, ge=1, le=86400)
    trash_keep_s: float = option(86400.0, "What was put into the trash can be had back for so long.", reload=True, ge=60, le=31_536_000)
    trash_share_max: float = option(0.2, "The part of a node's chunks or bytes that may lie in the trash unasked. More means likelier a wrong list than much to delete.", reload=True, ge=0, le=1)
    grace_s: float = option(3600.0, "A chunk is not looked at by the trash pass before this age: its job may not have told of it yet.", reload=True, ge=0, le=604800)
    surplus_every_s: float = option(21600.0, "How often a node looks for chunks of which others, by rank, keep enough copies without it.", reload=True, ge=1, le=604800)


class Audit(Section):
    """The log of every mutating or denied call."""

    file_bytes_max: int = option(16 << 20, "A file of the log is closed at this size and the next begins, chained to it. The newest is verified at every start: 16 MiB take about 0.3 s.", ge=1 << 20, le=1 << 30)
    head_every_s: float = option(10.0, "How often the head of the log is signed and left with peers.", reload=True, ge=1, le=3600)


class Telemetry(Section):
    """Logs, traces and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = option("info", "What is written to stdout.", reload=True)
    log_format: Literal["json", "text"] = option("json", "json for journald, text for a person's terminal.")
    otlp_endpoint: str = option("", "http://host:4317 of an OTLP collector such as Jaeger; empty: none. It may be down without harm.", pattern=ENDPOINT)
    otlp_metrics: bool = option(False, "Send metrics to the collector too; /metrics is always there.")
    traces_ui: str = option("", "Where people look at traces, such as http://host:16686 of Jaeger: `mcctl trace --open` goes there.", reload=True, pattern=ENDPOINT)
    trace_one_in: int = option(1, "One call or chunk in so many is traced; failed and slow ones always. A job keeps what it began with.", reload=True, ge=1, le=1_000_000)
    queue_spans_max: int = option(4096, "Spans that wait for the collector; more are dropped and counted.", ge=64, le=1 << 20)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        unless(bool(self.otlp_endpoint) or not self.otlp_metrics, "otlp_metrics", "needs otlp_endpoint")
        return self


class DevPeer(Section):
    """Where a peer is reached through the dev cluster's links."""

    api: Address = required("The link to its API.", "127.0.0.1:20001")
    watch: Address = required("The link to its watch.", "127.0.0.1:20002")


class Dev(Section):
    """For the dev cluster only: it writes this itself."""

    peers: dict[str, DevPeer] = option({}, "Peer id to the link that leads to it.")


class Config(Section):
    """A node's configuration."""

    node: Node
    advertise: list[Advertise] = option([], "Addresses that peers may use; empty: the one that it listens on.", max_length=8)
    listen: Listen = Field(default_factory=Listen)
    s3: S3 = Field(default_factory=S3)
    identity: Identity = Field(default_factory=Identity)
    join: Join = Field(default_factory=Join)
    watch: Watch = Field(default_factory=Watch)
    council: Council = Field(default_factory=Council)
    limits: Limits = Field(default_factory=Limits)
    volume: list[Volume] = option([], "Where chunks are kept; empty: in the folder `chunks` of node.state_dir.", max_length=64)
    bucket: list[BucketVolume] = option([], "Volumes in buckets. Their copies fail with the bucket, and not with the node that serves it.", max_length=16)
    store: Store = Field(default_factory=Store)
    process: Process = Field(default_factory=Process)
    source: Source = Field(default_factory=Source)
    clouds: Clouds = Field(default_factory=Clouds)
    web: Web = Field(default_factory=Web)
    events: Events = Field(default_factory=Events)
    work: Work = Field(default_factory=Work)
    shutdown: Shutdown = Field(default_factory=Shutdown)
    upkeep: Upkeep = Field(default_factory=Upkeep)
    audit: Audit = Field(default_factory=Audit)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    dev: Dev = Field(default_factory=Dev)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        networks = [entry.network for entry in self.advertise]
        unless(len(networks) == len(set(networks)), "advertise", "names a network twice: one entry for each network")
        folders = [entry.dir for entry in self.volume]
        unless(len(folders) == len(set(folders)), "volume", "names a folder twice: one entry for each volume")
        buckets = [(entry.uri.rstrip("/"), entry.endpoint) for entry in self.bucket]
        unless(len(buckets) == len(set(buckets)), "bucket", "names a place twice: one entry for each")
        return self
