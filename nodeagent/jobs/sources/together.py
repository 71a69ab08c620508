"""Several small reads in one message: what may be asked for, and how answers are spelled."""

from collections.abc import Sequence
from typing import Protocol

from multicloud.errors import McError
from multicloud.v1 import source_pb2, task_pb2
from nodeagent.jobs.contract import SEVERAL_BYTES_MAX, SEVERAL_MAX, Found, SkippedObject
from nodeagent.jobs.sources.parts import SKIPPED


class Parts(Protocol):
    """Of a message that is being made."""

    def add(self, *, data: bytes = b"", reason: str = "", message: str = "") -> object: ...


def check(wanted: Sequence[task_pb2.TaskInput]) -> None:
    """Of somebody else: as much as one may ask for in one message."""
    size_bytes = sum(one.range.size_bytes for one in wanted)
    if len(wanted) > SEVERAL_MAX or size_bytes > SEVERAL_BYTES_MAX:
        said = f"{size_bytes} bytes of {len(wanted)} objects were asked for at once"
        raise McError("BAD_REQUEST", f"{said}; {SEVERAL_BYTES_MAX} of {SEVERAL_MAX} may be")


def put_parts(found: Sequence[Found], parts: Parts) -> None:
    for one in found:
        if isinstance(one, SkippedObject):
            parts.add(reason=one.why, message=one.more)
        else:
            parts.add(data=one)


def from_parts(
    wanted: Sequence[task_pb2.TaskInput], parts: Sequence[source_pb2.ReadPart]
) -> list[Found]:
    """BAD_REQUEST unless there is what was asked for, or a reason, for each."""
    if len(parts) != len(wanted):
        said = f"{len(parts)} objects came where {len(wanted)} were asked for"
        raise McError("BAD_REQUEST", said)
    return [_from_part(one, part) for one, part in zip(wanted, parts, strict=True)]


def _from_part(one: task_pb2.TaskInput, part: source_pb2.ReadPart) -> Found:
    data = part.data
    if len(data) == one.range.size_bytes and not part.reason:
        return data
    if part.reason in SKIPPED:
        return SkippedObject(one.path, part.reason, part.message)
    said = f"{len(data)} bytes of {one.path!r} came, {one.range.size_bytes} were asked for"
    raise McError("BAD_REQUEST", said)
