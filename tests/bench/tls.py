"""What is left of TLS's own speed: one stream of PutChunk, without sealing and disk, beside bare
Python `ssl` over TCP, and beside a bare gRPC stream with the same TLS.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from identity.names import Identity
from multicloud.channel import Credentials
from tests.bench import payload
from tests.bench.fleet import Fleet, bench_folder, sender
from tests.bench.frame import Row, Say
from tests.bench.lines import Asked, asked
from tests.bench.pairs import Leg, Took, costing, interleaved, leg_rows, ratio_row
from tests.support.nodes import make_place
from tests.support.people import CLUSTER, People

CHUNK_BYTES, CHUNKS = 64 << 20, 16
ROUNDS = 5
SHARE_MIN = 0.8
OURS, FLOOR, GRPC = "PutChunk, mTLS", "bare Python TLS", "bare gRPC, mTLS"


async def rows(say: Say) -> AsyncIterator[Row]:
    async with bench_folder() as folder, AsyncExitStack() as stack:
        people = People(folder / "authority")
        place = make_place(people, folder, 1)
        node = await stack.enter_async_context(
            asked("tests.bench.nowhere", place.id, str(place.folder))
        )
        await node.ask("address")  # It serves.
        alone = Fleet(folder, people, ())
        links = {place.id: await node.ask("address")}
        sending = await stack.enter_async_context(sender(alone, links))
        ends = [
            await stack.enter_async_context(
                asked("tests.bench.tls_end", *_files(folder, name, people.node(name * 16)))
            )
            for name in "ab"
        ]
        bare = [
            await stack.enter_async_context(
                asked("tests.bench.grpc_end", *_files(folder, name, people.node(name * 16)))
            )
            for name in "cd"
        ]
        noise = payload.noise_file(folder / "noise", CHUNK_BYTES)
        port = await ends[1].ask("serve")
        legs = _legs(place.id, node, sending, ends, noise, port)
        legs.append(await _grpc_leg(bare))
        runs = await interleaved(legs, ROUNDS, say)
        yield ratio_row(runs, OURS, FLOOR, SHARE_MIN)
        yield ratio_row(runs, OURS, GRPC)
        yield ratio_row(runs, GRPC, FLOOR)
        for found in leg_rows(runs, legs):
            yield found


def _legs(
    node_id: str, node: Asked, sending: Asked, ends: list[Asked], file: Path, port: int
) -> list[Leg]:
    size_bytes = CHUNK_BYTES * CHUNKS

    async def ours_s() -> float:
        found = await sending.ask("resend", node=node_id, file=str(file), count=CHUNKS, many=1)
        return float(found["took_s"])

    async def floor_s() -> float:
        return float(await ends[0].ask("push", port=port, mib=size_bytes >> 20))

    async def ours() -> Took:
        return await costing([node.pid, sending.pid], size_bytes, ours_s)

    async def floor() -> Took:
        return await costing([end.pid for end in ends], size_bytes, floor_s)

    how = f"{CHUNKS} chunks of {CHUNK_BYTES >> 20} MiB, sealed beforehand, one after the other"
    kept = "to a node that checks every frame and keeps none"
    return [
        Leg(OURS, f"{how}, {kept}", ours),
        Leg(
            FLOOR,
            f"TLS 1.3, both sides with certificates, {size_bytes >> 20} MiB in writes of 1 MiB",
            floor,
        ),
    ]


async def _grpc_leg(ends: list[Asked]) -> Leg:
    size_bytes = CHUNK_BYTES * CHUNKS
    port = await ends[1].ask("serve")
    name = Identity(CLUSTER, "node", "d" * 16).dns_name

    async def took_s() -> float:
        return float(await ends[0].ask("push", port=port, name=name, mib=size_bytes >> 20))

    async def took() -> Took:
        return await costing([end.pid for end in ends], size_bytes, took_s)

    return Leg(GRPC, "grpc.aio, one stream, messages of 1 MiB, no field, no check", took)


def _files(folder: Path, name: str, who: Credentials) -> list[str]:
    found = []
    for what, pem in (("crt", who.certificate_pem), ("key", who.key_pem), ("ca", who.ca_pem)):
        path = folder / f"{name}.{what}"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        found.append(os.fspath(path))
    return found
