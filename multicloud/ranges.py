"""Ranges of files from a node, for callers without an event loop; broken reads go on elsewhere."""

from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING

from multicloud.datasets import CREDIT_BYTES, READ_S_MAX, Checked, File
from multicloud.errors import McError
from multicloud.links import Link, Tries
from multicloud.v1 import common_pb2, read_pb2

if TYPE_CHECKING:
    from multicloud.v1.read_pb2_grpc import DatasetServiceStub as Stub

DAMAGED_MAX = 3  # Nodes in a row that gave other bytes than were written.


def pieces(link: Link, file: File, begin: int, end: int) -> Iterator[bytes]:
    """The bytes in order, as they come; it ends early only with an error.

    A part that turns out to be wrong raises DAMAGE before its last bytes are given.
    """
    at, tries, checked = begin, Tries(link), Checked(file, begin)
    while at < end:
        wrong: McError | None = None
        with tries:
            generation, stub = tries.begin()
            for data in _once(link, generation, stub, file, at, end):
                at += len(data)
                tries.went_on()
                wrong = checked.fault_of(data)
                if wrong:
                    break
                yield data
        if wrong:
            link.go_elsewhere(generation)  # Whoever asks again asks another node.
            raise wrong


def whole(link: Link, file: File, begin: int, end: int) -> bytes:
    """The range at once. A part that is wrong is read again, from another node."""
    for _ in range(DAMAGED_MAX):
        try:
            return b"".join(pieces(link, file, begin, end))
        except McError as error:
            if error.reason != "DAMAGE":
                raise
            damage = error
    raise damage


def _once(
    link: Link, generation: int, stub: "Stub", file: File, begin: int, end: int
) -> Iterator[bytes]:
    taken: SimpleQueue[int] = SimpleQueue()
    call = stub.ReadFile(_requests(file, begin, end, taken), timeout=READ_S_MAX)
    try:
        while generation == link.generation:  # Else the call has ended with its channel.
            answer = next(call, None)
            if answer is None:
                return
            yield answer.data
            taken.put(len(answer.data))
    finally:
        taken.put(0)
        if generation == link.generation:
            call.cancel()


def _requests(
    file: File, begin: int, end: int, taken: "SimpleQueue[int]"
) -> Iterator[read_pb2.ReadFileRequest]:
    """Never credit for more than is to come: a write to a call that the other side has ended well
    would end it here as a failure.
    """
    wanted = common_pb2.ByteRange(offset_bytes=begin, size_bytes=end - begin)
    path = file.location.path_bytes
    opening = read_pb2.ReadFileOpening(
        name=file.name, version=file.version, path=path, range=wanted
    )
    yield read_pb2.ReadFileRequest(opening=opening)
    credit = min(CREDIT_BYTES, end - begin)
    left = end - begin - credit
    yield read_pb2.ReadFileRequest(credit_bytes=credit)
    while left:
        credit = min(left, taken.get())
        if not credit:
            return  # Nobody reads on.
        left -= credit
        yield read_pb2.ReadFileRequest(credit_bytes=credit)
