"""Durable ingest and reading back, beside plain copies of the same file on the same disk."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

from tests.bench import copies, cost, payload
from tests.bench.fleet import Fleet, bench_folder, fleet, sender
from tests.bench.frame import Goal, Row, Say
from tests.bench.lines import Asked
from tests.bench.pairs import Leg, Runs, Took, costing, interleaved, leg_rows, peak_rows, ratio_row

NODES = 3
CHUNK_BYTES = 64 << 20
NOISE_BYTES, TEXT_BYTES = 1 << 30, 256 << 20
NOISE_ROUNDS, TEXT_ROUNDS = 5, 3
MANY = 2  # Chunks on their way at once.
RSS_GOAL = Goal(256.0)
THREE_MIN, ONE_MIN, READ_MIN = 0.8, 0.7, 0.6

TO_THREE, CP_THREE = "ingest to three", "cp three times + sync"
TO_ONE, CP_ONE = "ingest to one", "cp + sync"
TO_FILE, CP_PLAIN = "read into a file", "cp"
TO_NOWHERE, CAT = "read", "cat"


async def rows(say: Say) -> AsyncIterator[Row]:
    async with bench_folder() as folder:
        noise = payload.noise_file(folder / "noise", NOISE_BYTES)
        text = payload.text_file(folder / "text", TEXT_BYTES)
        async with fleet(folder, NODES) as nodes, sender(nodes) as sending:
            say(f"{NOISE_BYTES >> 20} MiB of noise")
            legs = [*_writing(nodes, sending, noise), *_reading(nodes, sending, noise)]
            runs = await interleaved(legs, NOISE_ROUNDS, say)
            for found in (*_ratios(runs), *leg_rows(runs, legs)):
                yield found
            say(f"{TEXT_BYTES >> 20} MiB of text")
            legs = _writing(nodes, sending, text, "text: ")
            runs = await interleaved(legs, TEXT_ROUNDS, say)
            for found in leg_rows(runs, legs):
                yield found
            peaks = {"a daemon": max(cost.peak_mib(pid) for pid in nodes.pids)}
            for found in peak_rows(peaks, "of three, during all of this", RSS_GOAL):
                yield found
            for found in peak_rows({"the sender": cost.peak_mib(sending.pid)}, "likewise"):
                yield found


def _ratios(runs: Runs) -> list[Row]:
    return [
        ratio_row(runs, TO_THREE, CP_THREE, THREE_MIN),
        ratio_row(runs, TO_ONE, CP_ONE, ONE_MIN),
        ratio_row(runs, TO_FILE, CP_PLAIN, READ_MIN),
        ratio_row(runs, TO_NOWHERE, CAT),
    ]


def _writing(nodes: Fleet, sending: Asked, file: Path, name: str = "") -> list[Leg]:
    how = f"{file.stat().st_size >> 20} MiB in chunks of {CHUNK_BYTES >> 20} MiB, {MANY} at once"
    secure = f"{how}; sealed, mTLS, every copy on the disk"
    floors = [(CP_THREE, 3), (CP_ONE, 1)]
    ours = [(TO_THREE, NODES), (TO_ONE, 1)]
    legs = []
    for (mine, copies_), (floor, count) in zip(ours, floors, strict=True):
        legs.append(Leg(name + mine, secure, partial(put, nodes, sending, file, copies_)))
        plain = f"`cp` of the file, one after the other, then `sync` of the copies: {count}"
        work = partial(copies.copies, file, nodes.folder, count)
        legs.append(Leg(name + floor, plain, work, partial(copies.removed, nodes.folder, count)))
    return legs


def _reading(nodes: Fleet, sending: Asked, file: Path) -> list[Leg]:
    """Of what one put has left on the first node."""
    into = nodes.folder / "back"
    chunks: list[str] = []

    async def get(to: str) -> Took:
        if not chunks:
            chunks.extend(await put_chunks(sending, file, 1))
        work = partial(_get_s, sending, nodes.ids[0], chunks, to)
        return await costing([nodes.pids[0], sending.pid], file.stat().st_size, work)

    async def tidy() -> None:
        into.unlink()

    verified = f"from one node by mTLS, verified and decrypted, {MANY} chunks at once"
    return [
        Leg(TO_FILE, f"{verified}, written into a new file", partial(get, str(into)), tidy),
        Leg(
            CP_PLAIN,
            "`cp` into a new file",
            partial(copies.copies, file, nodes.folder, 1, sync=False),
            partial(copies.removed, nodes.folder, 1),
        ),
        Leg(TO_NOWHERE, verified, partial(get, "")),
        Leg(CAT, "`cat` into nothing, from the page cache", partial(copies.read_only, file)),
    ]


async def put(nodes: Fleet, sending: Asked, file: Path, copies_: int) -> Took:
    async def work() -> float:
        return float((await _put(sending, file, copies_))["took_s"])

    return await costing([*nodes.pids, sending.pid], file.stat().st_size, work)


async def put_chunks(sending: Asked, file: Path, copies_: int) -> Sequence[str]:
    chunks: Sequence[str] = (await _put(sending, file, copies_))["chunks"]
    return chunks


async def _put(sending: Asked, file: Path, copies_: int) -> dict[str, object]:
    return await sending.ask(
        "put", file=str(file), copies=copies_, chunk_bytes=CHUNK_BYTES, many=MANY
    )


async def _get_s(sending: Asked, node: str, chunks: Sequence[str], to: str) -> float:
    found = await sending.ask(
        "get", node=node, chunks=chunks, chunk_bytes=CHUNK_BYTES, many=MANY, to=to
    )
    return float(found["took_s"])
