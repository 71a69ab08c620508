"""Reads a range of a dataset's file from a node, granting it bytes as they are taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from multicloud.client import Client
from multicloud.datasets import CREDIT_BYTES, READ_S_MAX
from multicloud.errors import McError
from multicloud.v1 import common_pb2, read_pb2
from multicloud.v1.read_pb2_grpc import DatasetServiceStub

FILES_MAX, FILES_BYTES_MAX, FILES_S_MAX = 256, 1 << 20, 120.0
# What gRPC says when a write met a call that the node had just ended: why is lost, so it is asked
# again, from where it was.
ANSWER_LOST, LOST_MAX = "Internal error from Core", 5


async def read(
    client: Client, name: str, version: str, path: bytes, offset_bytes: int, size_bytes: int
) -> AsyncIterator[bytes]:
    """The bytes in order, as they come; it ends early only with an error."""
    at_bytes = lost = 0
    while at_bytes < size_bytes:
        begin, left = offset_bytes + at_bytes, size_bytes - at_bytes
        try:
            async for data in _once(client, name, version, path, begin, left):
                yield data
                at_bytes, lost = at_bytes + len(data), 0
            return
        except McError as error:
            lost += 1
            if ANSWER_LOST not in error.message or lost > LOST_MAX:
                raise


async def read_several(
    client: Client, name: str, version: str, paths: Sequence[bytes]
) -> Sequence[bytes]:
    """Small files whole, in one call: FILES_MAX of them at most, with FILES_BYTES_MAX in all."""
    request = read_pb2.ReadFilesRequest(name=name, version=version, paths=paths)
    return (await client.stub(DatasetServiceStub).ReadFiles(request, timeout=FILES_S_MAX)).data


async def _once(
    client: Client, name: str, version: str, path: bytes, offset_bytes: int, size_bytes: int
) -> AsyncIterator[bytes]:
    wanted = common_pb2.ByteRange(offset_bytes=offset_bytes, size_bytes=size_bytes)
    opening = read_pb2.ReadFileOpening(name=name, version=version, path=path, range=wanted)
    taken: asyncio.Queue[int] = asyncio.Queue()

    async def requests() -> AsyncIterator[read_pb2.ReadFileRequest]:
        """Never credit for more than is to come: a write to a call that the other side has ended
        well would end it here as a failure.
        """
        yield read_pb2.ReadFileRequest(opening=opening)
        credit = min(CREDIT_BYTES, size_bytes)
        left = size_bytes - credit
        yield read_pb2.ReadFileRequest(credit_bytes=credit)
        while left:
            credit = min(left, await taken.get())
            left -= credit
            yield read_pb2.ReadFileRequest(credit_bytes=credit)

    answers = client.stub(DatasetServiceStub).ReadFile(requests(), timeout=READ_S_MAX)
    async for answer in answers:
        yield answer.data
        taken.put_nowait(len(answer.data))
