"""A node that only sends and reads, as a process of its own: it seals a file into chunks, brings
them to real daemons and reads them back, all through the code that nodes use.

    python -m tests.bench.sender SPEC

SPEC is JSON: a node's configuration, the addresses of the others, and how far they are. Each line
of the input names a method of `Sender` and its arguments, and is answered with what that returns.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.electorate import Ask
from coordinator.policy import Policy
from identity.store import NodeIdentity
from multicloud import __version__, regions
from multicloud.errors import McError
from multicloud.v1 import chunk_pb2
from nodeagent.config.load import load
from nodeagent.core.chunk.codec import choose
from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import Sealer
from nodeagent.memory import raise_malloc_thresholds
from nodeagent.rpc.peers import Peers
from nodeagent.telemetry import Telemetry
from nodeagent.wire.budget import Budget
from nodeagent.wire.client import ChunkClient
from nodeagent.wire.deliver import Deliverer
from nodeagent.wire.electing import Electing
from nodeagent.wire.facts import Fact, Ledger
from nodeagent.wire.fetch import GET, fetch
from nodeagent.wire.flow import Flow
from nodeagent.wire.ground import Ground
from nodeagent.wire.lanes import Lanes
from nodeagent.wire.outlet import Outlet, Terms
from nodeagent.wire.parts import Part, Parts
from nodeagent.wire.sealing import Sealing, sealed_bytes_max
from tests.bench.known import DOMAINS, Known
from tests.bench.lines import answer, at_once

READ_BYTES = 4 * FRAME_BYTES
WINDOW_BYTES = 8 << 20
JOB = "bench"
MEET_S_MAX, MEET_AGAIN_S = 30.0, 0.2
CREDIT_BYTES_ALL = 1 << 40


def policy_of(copies: int) -> Policy:
    """Three copies as the default has it; one, at the first node."""
    return Policy() if copies > 1 else Policy(1, (), allow=(DOMAINS[0].place,))


class Sender:
    def __init__(self, ground: Ground, lanes: Lanes, known: Known) -> None:
        self._ground, self._lanes = ground, lanes
        self._key = DatasetKey(os.urandom(16), os.urandom(32))
        electing = Electing(known, regions.load())
        self._deliverer = Deliverer(ground, ChunkClient(ground.links), electing)

    async def meet(self, copies: int) -> float:
        """One small chunk to all of them, as soon as they have found each other."""
        begun_s = time.monotonic()
        while True:
            with suppress(McError):
                await self._deliver("meet", os.memfd_create("meet"), copies, 0, 0)
                return time.monotonic() - begun_s
            if time.monotonic() - begun_s > MEET_S_MAX:
                raise TimeoutError("the nodes have not found each other")
            await asyncio.sleep(MEET_AGAIN_S)

    async def put(self, file: str, copies: int, chunk_bytes: int, many: int) -> dict[str, Any]:
        """Returns when every chunk is safe, with all its copies acked: seconds, and their ids."""
        fd = os.open(file, os.O_RDONLY)
        try:
            size_bytes = os.fstat(fd).st_size
            works = [
                partial(
                    self._deliver,
                    f"{file}/{start}",
                    fd,
                    copies,
                    start,
                    min(chunk_bytes, size_bytes - start),
                )
                for start in range(0, size_bytes, chunk_bytes)
            ]
            begun_s = time.perf_counter()
            chunks = await at_once(works, many)
            return {"took_s": time.perf_counter() - begun_s, "chunks": chunks}
        finally:
            os.close(fd)

    async def _deliver(self, key: str, fd: int, copies: int, start: int, size_bytes: int) -> str:
        room_bytes = sealed_bytes_max(size_bytes)
        ask = Ask(policy_of(copies), DOMAINS[0], key, room_bytes, source_node=self._ground.node)
        election = self._deliverer.brain.elect(ask, {})
        sealing = self._sealing(fd, start, size_bytes)
        terms = Terms(JOB, key[-64:], room_bytes)
        done = await self._deliverer.deliver(sealing.parts, election, terms, ack_copies=copies)
        done.demand_safe()
        return done.chunk_id.hex()

    def _sealing(self, fd: int, start: int, size_bytes: int) -> Sealing:
        codec = choose(os.pread(fd, min(FRAME_BYTES, size_bytes), start))

        def sealer() -> Sealer:
            return Sealer(self._key, salt=os.urandom(32), codec=codec, plain_bytes=size_bytes)

        return Sealing(sealer, lambda: _pieces(fd, start, size_bytes))

    async def lanes(self, node: str) -> int:
        """How many connections its streams to that node are spread over."""
        return self._lanes.count(node)

    async def resend(self, node: str, file: str, count: int, many: int) -> dict[str, Any]:
        """One chunk of the whole file, sealed beforehand, again and again: the stream alone."""
        fd = os.open(file, os.O_RDONLY)
        try:
            size_bytes = os.fstat(fd).st_size
            parts = [part async for part in self._sealing(fd, 0, size_bytes).parts()]
        finally:
            os.close(fd)
        works = [partial(self._send, parts, node, sealed_bytes_max(size_bytes))] * count
        begun_s = time.perf_counter()
        await at_once(works, many)
        return {"took_s": time.perf_counter() - begun_s}

    async def _send(self, parts: Sequence[Part], node: str, room_bytes: int) -> None:
        facts: list[Fact] = []
        terms = Terms(job=JOB, file_bytes_max=room_bytes)
        tree = chunk_pb2.PutTree(node=node)
        outlet = Outlet(self._ground, tree, terms, Ledger([node], facts.append))
        await Flow([outlet], window_bytes=lambda: WINDOW_BYTES).run(_again(parts))
        for fact in facts:
            if fact.error:
                raise fact.error

    async def get(
        self, node: str, chunks: Sequence[str], chunk_bytes: int, many: int, to: str = ""
    ) -> dict[str, Any]:
        """Verified and decrypted, into a file if one is named."""
        fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if to else -1
        try:
            begun_s = time.perf_counter()
            works = [
                partial(self._get, node, bytes.fromhex(chunk), fd, number * chunk_bytes)
                for number, chunk in enumerate(chunks)
            ]
            sizes = await at_once(works, many)
            return {"took_s": time.perf_counter() - begun_s, "bytes": sum(sizes)}
        finally:
            if to:
                os.close(fd)

    async def _get(self, node: str, chunk_id: bytes, fd: int, offset_bytes: int) -> int:
        async with fetch(self._ground, node, chunk_id) as fetching:
            opener = Opener(fetching.envelope, self._key)
            check = opener.plain_check()
            index, at_bytes = 0, offset_bytes

            def opened(frame: bytes) -> int:
                plain = opener.open_frame(index, frame, checked=True)
                check.add(plain)
                if fd >= 0 and os.pwrite(fd, plain, at_bytes) != len(plain):
                    raise OSError("the disk took a part only")
                return len(plain)

            async for frame in fetching.frames():
                at_bytes += await asyncio.to_thread(opened, frame)
                index += 1
            check.finish()
        return at_bytes - offset_bytes

    async def slow(self, node: str, chunk: str, streams: int, pause_s: float) -> float:
        """Readers that allow everything at once and take a frame now and then: MiB that came."""
        works = [partial(self._slowly, node, chunk, pause_s)] * streams
        return float(sum(await at_once(works, streams))) / (1 << 20)

    async def _slowly(self, node: str, chunk: str, pause_s: float) -> int:
        method = self._ground.links.bulk(node).stream_stream(
            GET,
            request_serializer=chunk_pb2.GetChunkRequest.SerializeToString,
            response_deserializer=chunk_pb2.GetChunkResponse.FromString,
        )
        call = method()
        opening = chunk_pb2.GetOpening(chunk_id=bytes.fromhex(chunk))
        await call.write(chunk_pb2.GetChunkRequest(opening=opening))
        credit = chunk_pb2.Credit(bytes=CREDIT_BYTES_ALL)
        await call.write(chunk_pb2.GetChunkRequest(credit=credit))
        came_bytes = 0
        async for said in call:
            came_bytes += len(said.frame.data)
            await asyncio.sleep(pause_s)
        return came_bytes


async def _pieces(fd: int, start: int, size_bytes: int) -> AsyncIterator[memoryview]:
    """Read into one buffer again and again: who takes a piece is done with the one before."""
    buffer = memoryview(bytearray(min(READ_BYTES, size_bytes)))
    for at in range(0, size_bytes, READ_BYTES):
        piece = buffer[: min(READ_BYTES, size_bytes - at)]
        if await asyncio.to_thread(os.preadv, fd, [piece], start + at) != len(piece):
            raise OSError("the file has become shorter")
        yield piece


async def _again(parts: Sequence[Part]) -> Parts:
    for part in parts:
        yield part


async def main(spec: Path) -> None:
    said = json.loads(spec.read_text())
    addresses: dict[str, str] = said["addresses"]
    config = load(Path(said["config"]), {}, {}).config
    state = config.node.state_dir
    state.mkdir(parents=True, exist_ok=True)
    identity = NodeIdentity.load(config.identity.dir, state, env={})
    telemetry = Telemetry.start(config.telemetry, config.node, __version__, stream=sys.stderr)
    async with asyncio.TaskGroup() as group:
        peers = Peers(identity.cluster, identity.client_credentials, group.create_task)
        round_s = said["round_s"]
        links = Lanes(peers, lambda node: addresses.get(node, ""), lambda _: round_s)
        budget = Budget(lambda: config.limits)
        ground = Ground(
            config.node.id, links, budget, lambda: config.limits, telemetry, lambda _: ""
        )
        sender = Sender(ground, links, Known.of(list(addresses)))
        try:
            await answer(lambda line: getattr(sender, line.pop("what"))(**line))
        finally:
            await peers.close()
            await telemetry.stop()


if __name__ == "__main__":
    raise_malloc_thresholds()
    asyncio.run(main(Path(sys.argv[1])))
