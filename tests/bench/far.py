"""A far peer: one daemon behind an emulated link of 80 ms, beside plain TCP through such a link."""

from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from mcctl.dev.network import Network
from tests.bench import payload
from tests.bench.fleet import Fleet, api_of, bench_folder, fleet, sender
from tests.bench.frame import Goal, Row, Say, row
from tests.bench.ingest import MANY, put
from tests.bench.lines import Asked
from tests.bench.links import ask_ends, both_ends, listens
from tests.bench.pairs import Leg, Runs, Took, interleaved, leg_rows
from tests.support.nodes import free_ports

ONE_WAY_S = 0.04
WIDE_MBIT = 1000  # Less than this machine passes on, so that the link is what is measured.
FILE_BYTES = 256 << 20
ROUNDS = 3
STREAMS = (1, 2, 4, 8)
SHARE_MIN = 0.9
OURS = "ingest to one far node"
DATA, PLAIN = "data", "plain"


async def rows(say: Say) -> AsyncIterator[Row]:
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(bench_folder())
        ends, served = await stack.enter_async_context(both_ends())
        network = await stack.enter_async_context(Network())
        nodes = await stack.enter_async_context(fleet(folder, 1))
        node_port = int(api_of(nodes.daemons[0].place).rpartition(":")[2])
        ports = dict(zip((DATA, PLAIN), free_ports(2), strict=True))
        for way, target in ((DATA, node_port), (PLAIN, served)):
            network.link(way, "far", ports[way], network.target(f"far {way}", target))
            await listens(ports[way])
            shape = ((way, "far"), ("far", way))
            network.shape(shape, ONE_WAY_S, WIDE_MBIT * 1e6 / 8)
        links = {nodes.ids[0]: f"127.0.0.1:{ports[DATA]}"}
        sending = await stack.enter_async_context(sender(nodes, links, 2 * ONE_WAY_S))
        file = payload.noise_file(folder / "noise", FILE_BYTES)
        legs = [_ours(nodes, sending, file), *(_plain(ends, ports[PLAIN], n) for n in STREAMS)]
        runs = await interleaved(legs, ROUNDS, say)
        yield _ratio(runs)
        for found in leg_rows(runs, legs):
            yield found
        chosen = float(await sending.ask("lanes", node=nodes.ids[0]))
        how = f"as chosen by then by measured goodput, {MANY} chunks at once"
        yield row("connections to the far node", [chosen], "", how, at="only")


def _ours(nodes: Fleet, sending: Asked, file: Path) -> Leg:
    how = (
        f"{FILE_BYTES >> 20} MiB, sealed, mTLS, on the far disk; {2e3 * ONE_WAY_S:g} ms "
        f"there and back, {WIDE_MBIT} Mbit/s"
    )
    return Leg(OURS, how, partial(put, nodes, sending, file, 1))


def _plain(ends: Process, port: int, streams: int) -> Leg:
    async def run() -> Took:
        mib = FILE_BYTES >> 20
        mib_s = await ask_ends(ends, f"push {port} {mib} {streams}")
        return Took(FILE_BYTES, mib / mib_s)

    return Leg(f"plain TCP, {streams} at once", "through a link of the same kind", run)


def _ratio(runs: Runs) -> Row:
    floors = [took for name, took in runs.took.items() if name != OURS]
    best = [max(one.mib_s for one in each) for each in zip(*floors, strict=True)]
    ratios = [mine.mib_s / floor for mine, floor in zip(runs.took[OURS], best, strict=True)]
    goal = Goal(SHARE_MIN, most=False)
    what = f"{OURS} / the best of plain TCP"
    return row(what, ratios, "", "round by round", goal=goal, more_is_better=True)
