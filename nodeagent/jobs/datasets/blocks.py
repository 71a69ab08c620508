"""The bytes of a manifest: parts in blocks of one size, so that any part is found by few reads.

Block 0 is the head, then come blocks of chunks, CHUNKS_PER_BLOCK in each but the last of them,
then blocks of files by path. No part goes over the end of a block; zeros fill it up. The format
stands in docs/formats.md.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError

from multicloud.errors import McError
from multicloud.v1 import records_pb2

FORMAT = 1
BLOCK_BYTES = 256 << 10  # Also the frame of the chunks that manifests are sealed into.
BLOCKS_PER_CHUNK = 256  # 64 MiB of plain bytes.
CHUNKS_PER_BLOCK = 2048  # A chunk's part has at most 119 bytes.
FILE_PARTS_MAX = 1024  # In one part of the stream; a file with more goes on in the next.
_VARINT_BYTES_MAX = 3  # Of lengths below BLOCK_BYTES.

Part = records_pb2.ManifestPart


def encode(
    head: records_pb2.ManifestHead,
    chunks: Iterable[records_pb2.ManifestChunk],
    files: Iterable[records_pb2.ManifestFile],
) -> Iterator[bytes]:
    """The blocks of a manifest, each whole but the last. Nothing is held but one block."""
    last = b""
    for block in _all(head, chunks, files):
        if last:
            yield last.ljust(BLOCK_BYTES, b"\0")
        last = block
    yield last


def _all(
    head: records_pb2.ManifestHead,
    chunks: Iterable[records_pb2.ManifestChunk],
    files: Iterable[records_pb2.ManifestFile],
) -> Iterator[bytes]:
    yield _framed(Part(head=head))
    yield from _packed((Part(chunk=chunk) for chunk in chunks), CHUNKS_PER_BLOCK)
    yield from _packed((Part(file=file) for file in files), BLOCK_BYTES)


def _packed(parts: Iterable[records_pb2.ManifestPart], parts_max: int) -> Iterator[bytes]:
    block, count = bytearray(), 0
    for part in parts:
        framed = _framed(part)
        if count == parts_max or len(block) + len(framed) > BLOCK_BYTES:
            yield bytes(block)
            block, count = bytearray(), 0
        block += framed
        count += 1
    if block:
        yield bytes(block)


def _framed(part: records_pb2.ManifestPart) -> bytes:
    content = part.SerializeToString(deterministic=True)
    framed = _varint(len(content)) + content
    if len(framed) > BLOCK_BYTES:
        what = part.WhichOneof("part")
        said = f"the manifest's {what} has {len(content)} bytes, {BLOCK_BYTES - 3} are allowed"
        raise McError("TOO_LARGE", said, next="a shorter pipeline file, or shorter paths")
    return framed


def decode(block: bytes) -> list[records_pb2.ManifestPart]:
    """The parts of one block. DAMAGE where they are none."""
    parts, at = [], 0
    while at < len(block) and block[at]:
        size, at = _number(block, at)
        if at + size > len(block):
            raise _damage("a part goes over the end of its block")
        try:
            parts.append(Part.FromString(block[at : at + size]))
        except DecodeError as error:
            raise _damage("a part does not read") from error
        at += size
    if any(block[at:]):
        raise _damage("something stands behind the end of a block")
    return parts


def head_of(block: bytes) -> records_pb2.ManifestHead:
    parts = decode(block)
    if len(parts) != 1 or parts[0].WhichOneof("part") != "head":
        raise _damage("it does not begin with its head")
    head = parts[0].head
    if head.format != FORMAT:
        said = f"the manifest has format {head.format}, this release reads {FORMAT}"
        raise McError("UNSUPPORTED", said)
    return head


def chunks_of(block: bytes) -> list[records_pb2.ManifestChunk]:
    return [part.chunk for part in _only(block, "chunk")]


def files_of(block: bytes) -> list[records_pb2.ManifestFile]:
    return [part.file for part in _only(block, "file")]


def _only(block: bytes, what: str) -> list[records_pb2.ManifestPart]:
    parts = decode(block)
    if not parts or any(part.WhichOneof("part") != what for part in parts):
        raise _damage(f"a block has something else than parts of kind {what}")
    return parts


def files_begin(chunks: int) -> int:
    """The first block of files, where there is any."""
    return 1 + -(-chunks // CHUNKS_PER_BLOCK)


def goes_on(file: records_pb2.ManifestFile) -> bool:
    """It only continues the file before it."""
    return bool(file.parts) and file.parts[0].at_bytes > 0


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(block: bytes, at: int) -> tuple[int, int]:
    found = 0
    for shift, byte in enumerate(block[at : at + _VARINT_BYTES_MAX]):
        found |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return found, at + shift + 1
    raise _damage("a length is cut off or too long")


def _damage(why: str) -> McError:
    return McError("DAMAGE", f"this is no manifest: {why}")
