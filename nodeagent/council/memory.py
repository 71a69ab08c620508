"""What this node promised and accepted in the council: on disk before any answer leaves.

The file knows which node it belongs to and has an id of its own, the volume: a node that lost it is
another member. A file that is not exactly what was written closes the member; it never answers from
an empty memory under its old name.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from coordinator.council.acceptor import Memory, Unsaved
from coordinator.council.registers import NO_BALLOT, Accepted, Ballot, Epoch, Seat
from multicloud.errors import McError
from multicloud.v1 import council_pb2
from nodeagent.council.database import Database, Statement, connect
from nodeagent.council.words import from_ballot, from_register, to_ballot, to_register

FILE = "member.db"
# TRUNCATE and EXTRA: once COMMIT returns, no power cut brings the old state back.
PRAGMAS = ("journal_mode=TRUNCATE", "synchronous=EXTRA", "locking_mode=EXCLUSIVE")
TABLES = (
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL, hash BLOB)",
    "CREATE TABLE register (key TEXT PRIMARY KEY, promised BLOB, accepted BLOB) WITHOUT ROWID",
)
_PUT_HEAD = "INSERT OR REPLACE INTO head VALUES (1, ?, ?)"
_PUT_REGISTER = "INSERT OR REPLACE INTO register VALUES (?, ?, ?)"
_HASH_BYTES, _MODULUS = 16, 1 << 128
# What says nothing about the file's content. The upper bits of a code only say more.
_OF_THE_DISK = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
Row = tuple[str, bytes, bytes]


@dataclass(slots=True)
class MemoryFile:
    """The file with what it held when it was opened, and how to write what changed."""

    seat: Seat
    first_start: bool  # It was made when the node started for the first time ever.
    memory: Memory
    database: Database
    _sums: dict[str, int]  # Of each register's row; together they are in the head.
    _sum: int

    def statements(self, memory: Memory, unsaved: Unsaved) -> list[Statement]:
        """What brings the file up to this memory; in the order of the calls."""
        found: list[Statement] = []
        keys: Iterable[str] = unsaved.keys
        if unsaved.whole:
            found.append(("DELETE FROM register", ()))
            self._sums, self._sum = {}, 0
            keys = {*memory.promised, *memory.accepted}
        for key in keys:
            row = _row(key, memory)
            old, fresh = self._sums.get(key, 0), _sum_of(row)
            self._sum = (self._sum - old + fresh) % _MODULUS
            self._sums[key] = fresh
            found.append((_PUT_REGISTER, row))
        found.append(_head(self.seat, self.first_start, memory, self._sum))
        return found


def open_memory(
    folder: Path, node: str, *, first_start: bool, new_volume: Callable[[], str]
) -> MemoryFile:
    """The node's own file, made when there is none. DAMAGE when it is not what was written."""
    file = folder / FILE
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not file.exists():
            _make(file, Seat(node, new_volume()), first_start)
        return _read(file, node)
    except OSError as error:
        raise McError("VOLUME_FAILED", f"{file} cannot be used: {error.strerror}") from error
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK:
            raise McError("VOLUME_FAILED", f"{file} cannot be read: {error}") from error
        raise _damage(file, str(error)) from error


def _damage(file: Path, why: str) -> McError:
    return McError(
        "DAMAGE",
        f"{file}, which holds what this node promised in the council, is damaged: {why}",
        next="stop nodeagentd, move that file away and start again: the node is then a new member, "
        "which the council seats by itself",
    )


def _make(file: Path, seat: Seat, first_start: bool) -> None:
    """Under another name first: a file of that name is whole, or it is damaged."""
    draft = file.with_name(f"{FILE}.new")
    for left in (draft, *(path.with_name(f"{path.name}-journal") for path in (draft, file))):
        left.unlink(missing_ok=True)
    connection = connect(draft, PRAGMAS, create=True)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.execute(table)
        connection.execute(*_head(seat, first_start, Memory(), 0))
        connection.execute("COMMIT")
    finally:
        connection.close()
    draft.chmod(0o600)
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: Path, node: str) -> MemoryFile:
    connection = connect(file, PRAGMAS)
    try:
        ((body, hash_),) = connection.execute("SELECT body, hash FROM head").fetchall()
        rows: list[Row] = connection.execute(
            "SELECT key, promised, accepted FROM register"
        ).fetchall()
        if hash_ != _hash(body.encode()):
            raise ValueError("its head is not what was written")
        head = json.loads(body)
        sums = {row[0]: _sum_of(row) for row in rows}
        total = sum(sums.values()) % _MODULUS
        if total != int(head["sum"], 16) or len(sums) != len(rows):
            raise ValueError("its registers are not what was written")
        if head["node"] != node:
            raise ValueError(f"it belongs to node {head['node']}")
        memory = _memory(head, rows)
    except BaseException:
        connection.close()
        raise
    seat = Seat(node, head["volume"])
    return MemoryFile(seat, head["first_start"], memory, Database(file, connection), sums, total)


def _memory(head: Mapping[str, object], rows: Iterable[Row]) -> Memory:
    members = head["members"]
    assert isinstance(members, list)
    epoch = Epoch(int(str(head["epoch"])), tuple(Seat(n, v) for n, v in members))
    promised: dict[str, Ballot] = {}
    accepted: dict[str, Accepted] = {}
    for key, ballot, register in rows:
        if ballot:
            promised[key] = from_ballot(council_pb2.Ballot.FromString(ballot))
        if register:
            _, accepted[key] = from_register(council_pb2.Register.FromString(register))
    return Memory(epoch, bool(head["sealed"]), promised, accepted)


def _row(key: str, memory: Memory) -> Row:
    ballot, accepted = memory.promised.get(key, NO_BALLOT), memory.accepted.get(key)
    promised = b"" if ballot == NO_BALLOT else to_ballot(ballot).SerializeToString()
    return key, promised, to_register(key, accepted).SerializeToString() if accepted else b""


def _head(seat: Seat, first_start: bool, memory: Memory, total: int) -> Statement:
    body = json.dumps(
        {
            "format": 1,
            "node": seat.node,
            "volume": seat.volume,
            "first_start": first_start,
            "epoch": memory.epoch.number,
            "members": [[member.node, member.volume] for member in memory.epoch.members],
            "sealed": memory.sealed,
            "sum": f"{total:x}",
        }
    )
    return _PUT_HEAD, (body, _hash(body.encode()))


def _sum_of(row: Row) -> int:
    key, promised, accepted = row
    lengths = f"{len(promised)} {len(accepted)} {key}".encode()
    return int.from_bytes(_hash(lengths + b"\0" + promised + accepted), "big")


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=_HASH_BYTES).digest()
