"""The audit chain, pure: a record becomes a line that holds the hash of everything before it.

Whoever changes, removes or reorders lines breaks the chain; whoever replaces the
whole of it contradicts a signed head that a peer has kept (`identity/heads.py`).
The format of a line is specified by `line_of`.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

GENESIS = "0" * 64  # `prev` of the first record.
FIELD_CHARS_MAX = 512  # What callers send is cut to this; a line stays small.
LINE_BYTES_MAX = 64 << 10  # Far above what `line_of` makes; longer ones are not ours.

_TAIL = re.compile(r',"hash":"([0-9a-f]{64})"}')
_TAIL_CHARS = len(',"hash":"') + 64 + len('"}')


@dataclass(frozen=True, slots=True)
class Record:
    """One call, or one thing that happened to the log itself."""

    unix_ms: int
    actor: str  # spiffe://…, or "" when the caller has no identity
    rpc: str
    decision: Literal["allowed", "denied"]
    roles: tuple[str, ...] = ()
    serial: str = ""  # Of the certificate, hex.
    peer: str = ""  # Address that the call came from.
    resource: str = ""
    reason: str = ""  # Of the table of errors, or in words.
    outcome: str = ""  # Name of a gRPC code.
    trace_id: str = ""
    via: str = ""  # The node that passed the call on.


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the chain: the next record gets `sequence + 1` and `prev = hash`."""

    sequence: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Verified:
    first_seq: int  # More than 1: the log was begun anew, and `compare` says so.
    last_seq: int
    last_hash: str
    count: int
    hashes: Mapping[int, str]  # At the sequences that were asked for.


@dataclass(frozen=True, slots=True)
class Broken:
    kind: Literal["edited", "cut"]
    at: int  # The sequence where it shows.
    line: int  # Counted from 1.
    why: str
    good: Verified  # What stands before it.


def line_of(record: Record, prev: Point) -> tuple[str, Point]:
    """The record's line, without newline, and the new end of the chain.

    `{"seq":…,"prev":…,<fields in alphabetical order>,"hash":…}`: JSON without spaces, all that
    is not printable ASCII escaped, so a value cannot begin a line of its own. The hash
    is SHA-256 over the 64 hex digits of `prev` and the object without its `hash`.
    """
    values = {
        "actor": _cut(record.actor),
        "decision": record.decision,
        "outcome": _cut(record.outcome),
        "peer": _cut(record.peer),
        "reason": _cut(record.reason),
        "resource": _cut(record.resource),
        "roles": [_cut(role) for role in record.roles[:16]],
        "rpc": _cut(record.rpc),
        "serial": _cut(record.serial),
        "trace_id": _cut(record.trace_id),
        "unix_ms": record.unix_ms,
        "via": _cut(record.via),
    }
    sequence = prev.sequence + 1
    body = json.dumps({"seq": sequence, "prev": prev.hash, **values}, separators=(",", ":"))
    found = _hash(prev.hash, body)
    return f'{body[:-1]},"hash":"{found}"}}', Point(sequence, found)


def _cut(value: str) -> str:
    return value if len(value) <= FIELD_CHARS_MAX else value[: FIELD_CHARS_MAX - 1] + "…"


def _hash(prev: str, body: str) -> str:
    return hashlib.sha256(prev.encode() + body.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Fault:
    kind: Literal["edited", "cut"]
    at: int
    why: str


@dataclass(slots=True)
class Verifier:
    """Follows a chain line by line; after the first fault it takes nothing more."""

    start: Point = Point()
    wanted: Collection[int] = ()  # Sequences whose hashes are to be remembered.
    broken: Broken | None = None
    _end: Point = field(init=False)
    _first: int = field(init=False)
    _count: int = 0
    _hashes: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._end = self.start
        self._first = self.start.sequence + 1
        self.wanted = frozenset(self.wanted)

    @property
    def end(self) -> Point:
        return self._end

    def feed(self, line: str) -> bool:
        """False when this line does not follow from what came before."""
        if self.broken is not None:
            return False
        fault = self._check(line)
        if fault is not None:
            good = self._verified()
            self.broken = Broken(fault.kind, fault.at, self._count + 1, fault.why, good)
            return False
        return True

    def result(self) -> Verified | Broken:
        return self.broken or self._verified()

    def _verified(self) -> Verified:
        end = self._end
        return Verified(self._first, end.sequence, end.hash, self._count, dict(self._hashes))

    def _check(self, line: str) -> _Fault | None:
        expected = self._end.sequence + 1
        no_record = _Fault("edited", expected, "the line is no record")
        tail = _TAIL.fullmatch(line[-_TAIL_CHARS:]) if len(line) <= LINE_BYTES_MAX else None
        if tail is None:
            return no_record
        body = line[:-_TAIL_CHARS] + "}"
        try:
            values = json.loads(body)
            sequence, prev = values["seq"], values["prev"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return no_record
        if type(prev) is not str or type(sequence) is not int:
            return no_record
        if _hash(prev, body) != tail[1]:
            return _Fault("edited", expected, "its hash does not fit its content")
        if sequence > expected and prev == GENESIS and self._count == 0 and self.start == Point():
            self._first = sequence  # Begun anew by a node that found its log damaged.
        elif sequence != expected:
            return _Fault("cut", expected, f"record {sequence} stands where {expected} belongs")
        elif prev != self._end.hash:
            why = f"it is not the record that {sequence} was written after"
            return _Fault("edited", max(self.start.sequence + 1, sequence - 1), why)
        self._end = Point(sequence, tail[1])
        self._count += 1
        if sequence in self.wanted:
            self._hashes[sequence] = tail[1]
        return None


def end_of(line: str, sequence: int) -> Point | None:
    """The chain's end after this line alone, if it is whole and is record `sequence`."""
    try:
        prev = json.loads(line)["prev"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    verifier = Verifier(Point(sequence - 1, str(prev)))
    return verifier.end if verifier.feed(line) else None


def verify_lines(
    lines: Iterable[str], start: Point = Point(), wanted: Collection[int] = ()
) -> Verified | Broken:
    """Follows the chain from `start`; `wanted` sequences come back with their hashes."""
    verifier = Verifier(start, wanted)
    for line in lines:
        if not verifier.feed(line):
            break
    return verifier.result()


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one node's log."""

    kind: Literal["ok", "edited", "cut", "replaced"]
    at: int  # The first sequence that cannot be trusted; 0 when all is well.
    why: str
    records: int
    heads: int  # How many heads of it were compared.

    def __str__(self) -> str:
        if self.kind == "ok":
            return ""
        if self.kind == "cut":
            place = "at its start" if self.at == 1 else f"after {self.at - 1}"
        else:
            place = f"from {self.at}" if self.kind == "replaced" else f"at {self.at}"
        return f"{self.kind} {place}: {self.why}"


def compare(log: Verified | Broken, heads: Mapping[int, Collection[str]]) -> Finding:
    """The log against heads kept elsewhere: sequence to the hashes that were signed for it.

    The heads must be older than the reading of the log, and its `wanted` their sequences.
    """
    good = log.good if isinstance(log, Broken) else log
    compared = 0
    trusted = good.first_seq - 1
    for sequence in sorted(heads):
        if sequence < good.first_seq:
            continue  # Of the log that was here before; see below.
        if sequence > good.last_seq:
            break
        compared += 1
        if set(heads[sequence]) - {good.hashes.get(sequence)}:
            why = f"a peer holds a signed head at {sequence} with another hash"
            return Finding("replaced", trusted + 1, why, good.count, compared)
        trusted = sequence
    if isinstance(log, Broken):
        return Finding(log.kind, log.at, f"line {log.line}: {log.why}", good.count, compared)
    newest = max(heads, default=0)
    if newest > good.last_seq:
        why = f"a peer holds a signed head at {newest}"
        return Finding("cut", good.last_seq + 1, why, good.count, compared + 1)
    if good.first_seq > 1:
        why = f"it begins with record {good.first_seq}, which says what became of the others"
        return Finding("cut", 1, why, good.count, compared)
    return Finding("ok", 0, "", good.count, compared)
