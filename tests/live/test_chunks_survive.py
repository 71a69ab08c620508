"""What was acked is on the disks, whoever is killed in the middle of it; what lies there damaged is
never served. A judge that shares no code with the product reads the disks.
"""

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import pytest

from mcctl.dev import ask
from mcctl.dev.folder import folder_of
from multicloud.errors import McError
from nodeagent.core.delivery_words import Patience
from nodeagent.wire.deliver import Delivered
from nodeagent.wire.fetch import fetch
from tests.live.cluster import Cluster, Home, until
from tests.support.chunks import open_file
from tests.support.disks import Verdict, judge_folder
from tests.support.sender import Sender, pieces, sending

FOUR = ("--nodes", "4", "--clouds", "2", "--no-wan", "--name", "four")
PLAIN_BYTES = 6 << 20
PUTS_A_ROUND = 4
BACK_S_MAX = 30.0


@pytest.fixture(scope="module")
def four() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="mc-") as folder:
        home = Home(Path(folder))
        try:
            yield Cluster(home, "four", home.json("dev", "up", *FOUR))
        finally:
            home.run("dev", "down", "--name", "four")


@asynccontextmanager
async def beside(cluster: Cluster, patience: Patience | None = None) -> AsyncIterator[Sender]:
    async with cluster.client() as client:
        folder = folder_of(cluster.name, cluster.home.env)
        async with sending(client, folder, patience=patience) as sender:
            await all_back(cluster, sender)
            yield sender


async def do(cluster: Cluster, verb: str, node: str) -> None:
    folder = folder_of(cluster.name, cluster.home.env)
    await ask.ask(folder, {"do": verb, "node": node}, lambda _: None)


def names(cluster: Cluster) -> list[str]:
    return [node["name"] for node in cluster.described["nodes"]]


async def all_back(cluster: Cluster, sender: Sender) -> None:
    """Every node is alive and has said what room it has."""

    def back() -> bool:
        members = sender.members.view().members.values()
        well = [m for m in members if m.knowing.name == "ALIVE" and m.facts and m.facts.bytes_free]
        return len(well) == len(names(cluster))

    await until(back, BACK_S_MAX)


def volume(cluster: Cluster, node: str) -> Path:
    return cluster.home.folder / "dev" / cluster.name / "nodes" / node / "state" / "chunks"


def verdicts(cluster: Cluster) -> dict[str, Verdict]:
    return {node: judge_folder(volume(cluster, node)) for node in names(cluster)}


def judged(cluster: Cluster, sender: Sender, plains: dict[bytes, bytes]) -> None:
    """The promise, by the disks alone."""
    found = verdicts(cluster)
    for node, verdict in found.items():
        assert verdict.broken == {}, f"a partial chunk is visible on {node}"
        assert verdict.others == ()
    for promised, copies in ((sender.acked, 2), (sender.safe, 3)):
        for chunk_id in promised:
            files = [v.living[chunk_id] for v in found.values() if chunk_id in v.living]
            assert len(files) >= copies, f"{chunk_id.hex()} is on {len(files)} disks"
            assert len(set(files)) == 1
            clouds = {n.partition("-")[0] for n, v in found.items() if chunk_id in v.living}
            assert len(clouds) == 2
            assert open_file(files[0], sender.key) == plains[chunk_id]


async def killed_in_the_middle(
    cluster: Cluster, sender: Sender, victim: str, chance: Random
) -> dict[bytes, bytes]:
    """One round: chunks are on their way, a node is killed, what was promised is remembered."""
    plains: dict[bytes, bytes] = {}

    async def put(number: int) -> Delivered:
        plain = chance.randbytes(PLAIN_BYTES)
        key = f"{victim}-{chance.random()}-{number}"
        done = await sender.put(plain, key, plain_of=lambda: pieces(plain, every_s=0.05))
        plains[done.chunk_id] = plain
        return done

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(put(number)) for number in range(PUTS_A_ROUND)]
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        await do(cluster, "kill", victim)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        await do(cluster, "start", victim)
    for task in tasks:
        assert task.result().reached.safe, task.result().reached.error()
    await all_back(cluster, sender)
    return plains


async def rounds(cluster: Cluster, count: int, seed: int) -> Counter[str]:
    chance = Random(seed)
    plains: dict[bytes, bytes] = {}
    seen: Counter[str] = Counter()
    async with beside(cluster) as sender:
        for number in range(count):
            victim = names(cluster)[number % len(names(cluster))]
            plains |= await killed_in_the_middle(cluster, sender, victim, chance)
            if (number + 1) % len(names(cluster)) == 0:
                judged(cluster, sender, plains)
        for done in sender.safe.values():
            seen["hit"] += bool(done.reached.failures)
        seen["acked"], seen["safe"] = len(sender.acked), len(sender.safe)
    return seen


async def test_nothing_acked_is_lost_when_any_node_of_a_chain_is_killed_in_the_middle(
    four: Cluster,
) -> None:
    seen = await rounds(four, count=4, seed=1)
    assert seen["safe"] >= 4 * PUTS_A_ROUND
    assert seen["hit"], "no kill hit a put: it was not in the middle"


@pytest.mark.slow
async def test_nothing_acked_is_lost_in_hundreds_of_kills(four: Cluster) -> None:
    seen = await rounds(four, count=200, seed=int(os.environ.get("MC_SEED", "2")))
    assert seen["safe"] >= 200 * PUTS_A_ROUND


@contextmanager
def full_disk(cluster: Cluster, node: str, size_bytes: int) -> Iterator[None]:
    """A new and small disk under a node that stands still, all but full."""
    folder = volume(cluster, node)
    (folder.parent / "volumes.json").unlink(missing_ok=True)
    folder.rename(folder.parent / "chunks.before")
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_a_full_volume_takes_nothing_and_a_spare_does(four: Cluster) -> None:
    victim, plain = "gcp-b", secrets.token_bytes(PLAIN_BYTES)
    await do(four, "stop", victim)
    with full_disk(four, victim, 256 << 20):
        await do(four, "start", victim)
        async with beside(four) as sender:
            # The brain believes what it was told before the disk ran full.
            elections = (sender.election_of_old_figures(plain, f"k{n}") for n in range(1000))
            ids = {sender.members.name(node): node for node in sender.members.nodes}
            election = next(e for e in elections if ids[victim] in {s.node for s in e.targets})
            filled = volume(four, victim) / "tmp" / "somebody-elses"
            filled.write_bytes(bytes(256 << 20)[: room(volume(four, victim)) - (1 << 20)])
            done = await sender.put(plain, election.ask.key, election=election)
            done.demand_safe()
            (failed,) = done.reached.failures
            assert (failed.node, failed.reason) == (ids[victim], "NO_ROOM")
            judged(four, sender, {done.chunk_id: plain})
        await do(four, "stop", victim)
    (volume(four, victim).parent / "volumes.json").unlink(missing_ok=True)
    await do(four, "start", victim)


def room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


Tamper = Callable[[Path], None]


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def fill_with_zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def swap_with_another(file: Path) -> None:
    other = next(o for o in sorted(file.parent.parent.rglob("*.chunk")) if o != file)
    data = other.read_bytes()
    other.write_bytes(file.read_bytes())
    file.write_bytes(data)


def put_a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def put_a_link(file: Path) -> None:
    moved = file.parent.parent.parent / "elsewhere"
    file.rename(moved)
    file.symlink_to(moved)


@pytest.mark.parametrize(
    "tamper",
    [flip_a_bit, cut_off, fill_with_zeros, swap_with_another, put_a_fifo, put_a_link],
    ids=lambda tamper: tamper.__name__,
)
async def test_what_is_damaged_on_a_disk_is_never_served_and_others_serve(
    four: Cluster, tamper: Tamper
) -> None:
    plain = secrets.token_bytes(3 << 20)
    async with beside(four) as sender:
        for key in ("a", "b"):  # A second one, to swap names with.
            done = await sender.put(plain, f"{tamper.__name__}-{key}")
            done.demand_safe()
        victim, *others = done.reached.copies
        name = sender.members.name(victim.node)
        hexed = done.chunk_id.hex()
        tamper(volume(four, name) / "chunks" / hexed[:2] / f"{hexed}.chunk")
        with pytest.raises(McError) as refused:
            await read(sender, victim.node, done.chunk_id)
        assert refused.value.reason in ("DAMAGE", "NOT_FOUND")
        for copy in others:
            assert open_file(await read(sender, copy.node, done.chunk_id), sender.key) == plain


async def read(sender: Sender, node: str, chunk_id: bytes) -> bytes:
    async with asyncio.timeout(10.0), fetch(sender.deliverer.ground, node, chunk_id) as found:
        frames = [frame async for frame in found.frames()]
        return found.envelope.header + b"".join(frames) + found.envelope.trailer
