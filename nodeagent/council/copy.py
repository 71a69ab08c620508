"""This node's copy of all that the council has decided: read by anyone at any time, perhaps old.

A version of a register has one value for ever, so copies merge by the highest version. Each change
of the copy has a number, so that another node asks only for what came since it last asked. Who the
members are is a register of the copy like the others. A copy that is damaged is fetched anew.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import structlog

from coordinator.council.registers import NEXT_KEY, Epoch, State, members_of, members_value
from multicloud.errors import McError
from multicloud.v1 import council_pb2, peer_pb2
from nodeagent.council.contract import EPOCH_KEY, Register
from nodeagent.council.database import Database, connect
from nodeagent.council.words import from_state, to_state

_log = structlog.stdlib.get_logger(__name__)
FILE = "copy.db"
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
TABLES = (
    "CREATE TABLE IF NOT EXISTS copy (id TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS register (key TEXT PRIMARY KEY, sequence INTEGER, state BLOB)",
)
_PUT = "INSERT OR REPLACE INTO register VALUES (?, ?, ?)"
_MODULUS = 1 << 64


@dataclass(slots=True)
class Copy:
    id: str
    database: Database
    states: dict[str, State] = field(default_factory=dict)
    epoch: Epoch = field(default_factory=Epoch)
    sequence: int = 0
    _changes: dict[str, int] = field(default_factory=dict)  # Key to its last change, oldest first.
    _sum: int = 0
    _waiting: dict[asyncio.Event, None] = field(default_factory=dict)  # In the order they came.

    @classmethod
    def open(cls, folder: Path, new_id: Callable[[], str]) -> "Copy":
        file = folder / FILE
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            try:
                return _read(file, new_id)
            except (sqlite3.DatabaseError, ValueError, KeyError, McError) as error:
                why = str(error)
                _log.warning("council_copy_dropped", why=why, next="others have it: nothing to do")
                for left in folder.glob(f"{FILE}*"):
                    left.unlink()
                return _read(file, new_id)
        except (OSError, sqlite3.Error) as error:
            raise McError("VOLUME_FAILED", f"{file} cannot be used: {error}") from error

    def restore(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """What the file holds, oldest change first."""
        for key, sequence, body in rows:
            self._took(key, from_state(council_pb2.RegisterState.FromString(body)))
            self._changes[key] = self.sequence = sequence

    # -- What comes in

    def put(self, key: str, state: State) -> bool:
        """Takes what was decided, if it is news."""
        if key == NEXT_KEY or not self._took(key, state):
            return False
        self.sequence += 1
        self._changes.pop(key, None)
        self._changes[key] = self.sequence
        body = to_state(state).SerializeToString()
        self.database.save([(_PUT, (key, self.sequence, body))])
        for event in self._waiting:
            event.set()
        return True

    def learn(self, epoch: Epoch) -> bool:
        """Who the members are now."""
        return self.put(EPOCH_KEY, State(epoch.number, members_value(epoch.members)))

    def _took(self, key: str, state: State) -> bool:
        old = self.states.get(key)
        if state.version <= (old.version if old else 0):
            return False
        if key == EPOCH_KEY:
            self.epoch = Epoch(state.version, members_of(state.value))
        before = _hash_of(key, old.version) if old else 0
        self._sum = (self._sum - before + _hash_of(key, state.version)) % _MODULUS
        self.states[key] = state
        return True

    # -- What others ask for

    def digest(self) -> peer_pb2.CopyDigest:
        hash_ = self._sum.to_bytes(8, "big")
        return peer_pb2.CopyDigest(
            copy=self.id, sequence=self.sequence, hash=hash_, epoch=self.epoch.number
        )

    def since(self, sequence: int) -> Sequence[council_pb2.Register]:
        """Oldest change first."""
        found = []
        for key in reversed(self._changes):
            if self._changes[key] <= sequence:
                break
            found.append(council_pb2.Register(key=key, state=to_state(self.states[key])))
        return found[::-1]

    # -- What this node asks for

    def list(self, prefix: str = "") -> Sequence[Register]:
        return [
            Register(key, self.states[key].version, self.states[key].value)
            for key in sorted(k for k in self.states if k.startswith(prefix) and k != EPOCH_KEY)
        ]

    async def watch(self, prefix: str = "") -> AsyncIterator[Register]:
        seen: dict[str, int] = {}
        async for _ in self.changes():
            for register in self.list(prefix):
                if register.version > seen.get(register.key, 0):
                    seen[register.key] = register.version
                    yield register

    async def changes(self) -> AsyncIterator[None]:
        """At once, and after each change; several may be one."""
        event = asyncio.Event()
        self._waiting[event] = None
        try:
            while True:
                event.clear()
                yield
                await event.wait()
        finally:
            self._waiting.pop(event, None)

    def close(self) -> None:
        """Blocks."""
        self.database.close()


def _read(file: Path, new_id: Callable[[], str]) -> Copy:
    connection = connect(file, PRAGMAS, create=True)
    try:
        for table in TABLES:
            connection.execute(table)
        connection.execute(
            "INSERT INTO copy SELECT ? WHERE NOT EXISTS (SELECT * FROM copy)", (new_id(),)
        )
        ((id_,),) = connection.execute("SELECT id FROM copy").fetchall()
        rows = connection.execute("SELECT * FROM register ORDER BY sequence").fetchall()
        copy = Copy(id_, Database(file, connection))
    except BaseException:
        connection.close()
        raise
    try:
        copy.restore(rows)
    except BaseException:
        copy.close()
        raise
    return copy


def _hash_of(key: str, version: int) -> int:
    return int.from_bytes(blake2b(f"{version} {key}".encode(), digest_size=8).digest(), "big")
