"""The parts of a chunk as they travel: header, frames, trailer, each with its bytes on the wire.

Frames make up all the weight. They are read and written here without a copy of their bytes, in
the very form that protobuf gives them; any other spelling is left to protobuf itself.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import Enum

from google.protobuf.message import DecodeError

from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.core.chunk.arrival import Arrival
from nodeagent.core.chunk.envelope import Bytes, Envelope
from nodeagent.core.chunk.layout import FRAME_SEALED_BYTES_MAX

# Tags of fields in chunk.proto: number and wire type.
PUT_FRAME, GET_FRAME = b"\x1a", b"\x12"
_INDEX, _DATA, _LEAF = b"\x08", b"\x12", b"\x1a"
_VARINT_BYTES_MAX = 5  # No number in here reaches 2^35.


class Kind(Enum):
    HEADER = "header"
    FRAME = "frame"
    TRAILER = "trailer"


@dataclass(frozen=True, slots=True)
class Part:
    """`data` is what stands in the file, `raw` the PutChunkRequest that carries it."""

    kind: Kind
    data: Bytes
    raw: bytes
    index: int = 0
    leaf: bytes = b""
    chunk_id: bytes = b""  # Of a trailer.
    envelope: Envelope | None = None  # Of a trailer that was checked.

    @property
    def cost_bytes(self) -> int:
        """What it takes of a sender's credit."""
        return len(self.data)


def header_part(header: bytes) -> Part:
    return Part(Kind.HEADER, header, chunk_pb2.PutChunkRequest(header=header).SerializeToString())


def frame_part(index: int, data: Bytes, leaf: bytes) -> Part:
    """Copies `data` once: it may be a buffer that is used again."""
    raw = frame_message(PUT_FRAME, index, data, leaf)
    end = len(raw) - len(_LEAF) - 1 - len(leaf)
    return Part(Kind.FRAME, memoryview(raw)[end - len(data) : end], raw, index, leaf)


def trailer_part(envelope: Envelope) -> Part:
    sent = chunk_pb2.PutTrailer(trailer=envelope.trailer, chunk_id=envelope.chunk_id)
    raw = chunk_pb2.PutChunkRequest(trailer=sent).SerializeToString()
    return Part(Kind.TRAILER, envelope.trailer, raw, chunk_id=envelope.chunk_id, envelope=envelope)


def frame_message(tag: bytes, index: int, data: Bytes, leaf: bytes) -> bytes:
    """A Frame as the field `tag` of a message, as protobuf writes it."""
    assert len(leaf) < 0x80
    head = (_INDEX + _varint(index) if index else b"") + _DATA + _varint(len(data))
    tail = _LEAF + bytes((len(leaf),)) + leaf
    size = _varint(len(head) + len(data) + len(tail))
    return b"".join((tag, size, head, data, tail))


def read_part(raw: bytes) -> Part:
    """One message of a put after its opening. Nothing in it is checked yet."""
    if raw[:1] == PUT_FRAME:
        found = _plain_frame(raw)
        if found:
            index, data, leaf = found
            return Part(Kind.FRAME, data, raw, index, leaf)
    request = _parsed(raw)
    which = request.WhichOneof("part")
    if which == "frame":
        frame = request.frame
        return Part(Kind.FRAME, frame.data, raw, frame.index, frame.leaf)
    if which == "header":
        return Part(Kind.HEADER, request.header, raw)
    if which == "trailer":
        sent = request.trailer
        return Part(Kind.TRAILER, sent.trailer, raw, chunk_id=sent.chunk_id)
    raise out_of_order(f"its message holds {which or 'nothing'}, where a part of the chunk was due")


def read_opening(raw: bytes) -> chunk_pb2.PutOpening:
    request = _parsed(raw)
    if request.WhichOneof("part") != "opening":
        raise out_of_order("it does not begin with its opening")
    return request.opening


Parts = AsyncGenerator[Part, None]


async def checked(parts: Parts, file_bytes_max: int) -> Parts:
    """Lets each part through that fits those before it; the trailer leaves with its envelope.

    Ends with the trailer. DAMAGE, TOO_LARGE or BAD_REQUEST when something does not fit.
    """
    arrival: Arrival | None = None
    async with aclosing(parts):
        async for part in parts:
            if arrival is None:
                if part.kind is not Kind.HEADER:
                    raise out_of_order(f"its {part.kind.value} came before its header")
                arrival = Arrival(bytes(part.data), file_bytes_max)
            elif part.kind is Kind.FRAME:
                arrival.frame(part.index, part.data, part.leaf)
            elif part.kind is Kind.TRAILER:
                envelope = arrival.trailer(bytes(part.data), part.chunk_id)
                yield replace(part, envelope=envelope)
                return
            else:
                raise out_of_order("its header came twice")
            yield part
    raise out_of_order("it ended before its trailer")


def out_of_order(why: str) -> McError:
    said = f"this put is refused: {why}"
    return McError("BAD_REQUEST", said, next="send opening, header, frames in order, trailer")


def _parsed(raw: bytes) -> chunk_pb2.PutChunkRequest:
    try:
        return chunk_pb2.PutChunkRequest.FromString(raw)
    except DecodeError as error:
        raise McError("BAD_REQUEST", "the message is no PutChunkRequest") from error


def _plain_frame(raw: bytes) -> tuple[int, memoryview, bytes] | None:
    """The frame of a message that holds nothing else, each field once and in order."""
    size, at = _number(raw, 1)
    if size != len(raw) - at:
        return None
    index = 0
    if raw[at : at + 1] == _INDEX:
        index, at = _number(raw, at + 1)
    if raw[at : at + 1] != _DATA:
        return None
    size, at = _number(raw, at + 1)
    end = at + size
    if not 0 < size <= FRAME_SEALED_BYTES_MAX or raw[end : end + 1] != _LEAF:
        return None
    leaf_bytes, leaf_at = _number(raw, end + 1)
    leaf = raw[leaf_at:]
    if len(leaf) != leaf_bytes:
        return None
    return index, memoryview(raw)[at:end], leaf


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends; -1 for one that is cut off or too long."""
    found = 0
    for shift, byte in enumerate(raw[at : at + _VARINT_BYTES_MAX]):
        found |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return found, at + shift + 1
    return -1, len(raw)
