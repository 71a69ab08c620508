"""What the council knows of a sink: who sends, since when, what was sent, why it does not go."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.council.contract import Council

SINKS = "sink/"
SENT_IDS_MAX = 512
WHY_CHARS_MAX = 200

Record = records_pb2.SinkRecord


@dataclass(frozen=True, slots=True)
class Standing:
    council: Council

    def all(self) -> Iterator[Record]:
        """By this node's copy."""
        return (Record.FromString(one.value) for one in self.council.list(SINKS))

    def known(self, name: str) -> Record:
        found = (one for one in self.all() if one.name == name)
        return next(found, Record(name=name))

    async def change(self, name: str, edit: Callable[[Record], bool | None]) -> Record:
        """`edit` says False when nothing is to be changed."""
        while True:
            register = await self.council.get(SINKS + name)
            record = Record.FromString(register.value) if register.version else Record(name=name)
            if edit(record) is False:
                return record
            decided = await self.council.compare_and_set(
                SINKS + name, register.version, record.SerializeToString(), uuid4().hex
            )
            if decided.changed:
                return record

    async def enable(self, name: str) -> Record:
        def edit(record: Record) -> bool | None:
            if not record.since_unix_ms:
                said = f"no node has told of a sink {name!r}"
                raise McError("NOT_FOUND", said, next="mcctl events sinks")
            record.disabled_why = record.failing_why = ""
            record.failing_since_unix_ms = 0
            return None

        return await self.change(name, edit)
