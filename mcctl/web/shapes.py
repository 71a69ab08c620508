"""What the JSON answers look like. The OpenAPI document is made of these."""

from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict

Shape = ConfigDict(extra="forbid")


class Trouble(TypedDict):
    """Of every answer that is no 200."""

    __pydantic_config__ = Shape  # type: ignore[misc]
    reason: str
    message: str
    next: str


class Me(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    operator: str
    roles: list[str]
    may: list[str]
    cluster: str


class Done(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    done: str


class Leaving(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    chunks_left: int
    bytes_left: int
    done: bool
    waits: list[str]


class Node(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    name: str
    id: str
    cloud: str
    region: str
    zone: str
    address: str
    state: str
    chunks: int
    bytes_used: int
    bytes_free: int
    rtt_ms: float | None
    version: str
    silent_s: float
    certificate_ends: str | None
    leaving: Leaving | None


class Link(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    peer: str
    breaker: str
    why: str | None
    again_s: float | None
    bytes_out: int
    waited_share: float | None


class RetryBudget(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    what: str
    tokens: float
    most: float
    retries: int
    refused: int
    waits: str | None


class NodeInFull(Node):
    links: list[Link]
    retry_budgets: list[RetryBudget]


class Stage(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    stage: str
    bytes_done: int
    bytes_planned: int
    bytes_per_s: float
    bytes_queued: int
    waiting_for: str | None


LinkUse = TypedDict("LinkUse", {"from": str, "to": str, "bytes": int, "waited_share": float})


class Bottleneck(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    stage: str
    link: LinkUse | None
    share: float
    sentence: str


class Dollars(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    planned: float
    spent: float
    prices_of: str | None


class Follow(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    settle_ms: int
    every_ms: int
    files: int
    bytes: int
    rescan_ms: int


class Batch(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    standing_job: str
    number: int
    job: str | None
    changed_until_unix_ms: int
    files: int
    bytes: int


class Job(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    job: str
    dataset: str
    version: str
    state: str
    blocked: list[str]
    objects_listed: int
    objects_ingested: int
    objects_skipped: int
    records_in: int
    records_out: int
    records_filtered: int
    records_dropped: int
    records_quarantined: int
    chunks: int
    chunks_acked: int
    chunks_safe: int
    bytes_in: int
    bytes_sealed: int
    objects_taken: int
    bytes_taken: int
    bytes_reused: int
    bytes_sent: int
    seconds: float
    trace_id: str | None
    error: str | None
    source: str
    base_version: str | None
    follow: Follow | None
    batch: Batch | None
    source_done: bool
    submitter: str
    created: str | None
    keepers: list[str]
    steward: str | None
    epoch: int
    stages: list[Stage]
    bottleneck: Bottleneck | None
    links: list[LinkUse]
    usd: Dollars
    survives: dict[str, Any] | None


class Problem(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    code: str
    what: str
    next: str


class Debt(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    chunks: int
    bytes: int
    oldest_s: int


class Verdict(TypedDict):
    """`word`: safe, short, counting, danger."""

    __pydantic_config__ = Shape  # type: ignore[misc]
    word: str
    sentence: str


class Seat(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    name: str
    id: str
    there: bool
    why: str | None


class Council(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    epoch: int
    deciding: bool
    members: list[Seat]
    registers: int


class Status(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    cluster: str
    answered_by: str
    safe: bool
    verdict: Verdict
    chunks_by_copies: dict[str, int]
    repair_debt: Debt
    chunks_uncounted: int
    counting: bool
    nodes: list[Node]
    council: Council
    jobs: list[Job]
    usd_today: float
    problems: list[Problem]


Pair = TypedDict("Pair", {"from": str, "to": str, "ms": float, "source": str, "age_s": float})


class Links(TypedDict):
    """`by`: node, or region in large clusters."""

    __pydantic_config__ = Shape  # type: ignore[misc]
    by: str
    pairs: list[Pair]


class Event(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    time: str
    seen_by: str
    event: str
    node: str
    node_id: str
    why: str
    sequence: int
    facts: dict[str, str]


class Silent(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    node: str
    why: str


class Events(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    events: list[Event]
    silent: list[Silent]


class TracedChunk(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    index: int | None
    ids: list[str]
    trace_id: str | None
    seconds: float
    node: str | None
    error: str | None
    link: str | None


class Row(TypedDict):
    """A span; `times` of them alike where more than a few are."""

    __pydantic_config__ = Shape  # type: ignore[misc]
    depth: int
    name: str
    times: int
    node: str
    cloud: str | None
    start_ms: float
    ms: float
    waited_share: float
    error: str | None


class Waterfall(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    trace_id: str
    link: str | None
    rows: list[Row]


class Trace(TypedDict):
    __pydantic_config__ = Shape  # type: ignore[misc]
    chunks: list[TracedChunk]
    traces: list[Waterfall]
    unreachable: list[str]
    complete: bool
