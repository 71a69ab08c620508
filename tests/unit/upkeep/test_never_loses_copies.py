"""Whatever the passes of all nodes, jobs, clocks and failures do and in whatever order: a chunk
that something names or pins never loses its last copies, and comes back from the trash.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nodeagent.store.contract import Pin
from nodeagent.upkeep.rate import Rate
from tests.unit.upkeep.village import DAY_S, HOUR_S, THREE, Node, Options, Village, chunk, no_pause

CHUNKS = [chunk(n, 100) for n in range(2)]
IDS = [one.id for one in CHUNKS]
NODES = 5
R = THREE.replicas
NODE = st.integers(0, NODES - 1)
CHUNK = st.integers(0, len(CHUNKS) - 1)
SEED = st.integers(0, 2**32)


class Copies(RuleBasedStateMachine):
    """`safe` are the chunks that have been on R nodes since a root names them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        options = Options(trash_share_max=1.0)
        self.village = Village(Path(self.folder.name), NODES, options)
        self.jobs: dict[bytes, list[str]] = {one: [] for one in IDS}
        self.safe: set[bytes] = set()
        self.jobs_made = 0
        # One chunk begins with more copies than it needs.
        self.run(self.village.store(CHUNKS[0]))
        self.safe.add(IDS[0])
        self.village.clock.now_s += DAY_S

    def teardown(self) -> None:
        self.loop.close()
        self.folder.cleanup()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def together(self, seed: int, *work: Coroutine[Any, Any, Any]) -> None:
        """All at once, every call between nodes late by a chance."""
        rng = Random(seed)

        async def pause(most: int = 4) -> None:
            for _ in range(rng.randrange(most)):
                await asyncio.sleep(0)

        async def long_pause() -> None:
            await pause(60)

        async def all_of_it() -> None:
            await asyncio.gather(*work)

        self.village.pause, self.village.roots.pause = pause, long_pause
        self.run(all_of_it())
        self.village.pause = self.village.roots.pause = no_pause

    @property
    def nodes(self) -> list[Node]:
        return self.village.all

    # -- What jobs do

    @rule(which=CHUNK, first=NODE)
    def a_job_stores_it_on_three_nodes(self, which: int, first: int) -> None:
        self.jobs_made += 1
        job = f"job-{self.jobs_made}"
        for step in range(R):
            node = self.nodes[(first + step) % NODES]
            self.run(node.take(CHUNKS[which], Pin(job)))
        self.jobs[IDS[which]].append(job)

    @rule(which=CHUNK)
    def a_job_uses_it_again_where_it_is(self, which: int) -> None:
        self.run(self.reuse(IDS[which]))

    async def reuse(self, chunk_id: bytes) -> None:
        """As a sender does it: it counts only where enough nodes have pinned it."""
        self.jobs_made += 1
        job = f"job-{self.jobs_made}"
        pinned = []
        for node in self.nodes:
            await self.village.pause()
            pinned += await node.store.have([chunk_id], Pin(job))
        if len(pinned) >= R:
            self.jobs[chunk_id].append(job)
        else:
            await self.unpin(job)

    @rule(which=CHUNK)
    def its_jobs_end_well(self, which: int) -> None:
        """The manifest names it first, and then the pins go."""
        chunk_id = IDS[which]
        if self.jobs[chunk_id]:
            self.run(self.succeed(chunk_id))

    async def succeed(self, chunk_id: bytes) -> None:
        await self.village.pause()
        self.village.roots.live[chunk_id] = THREE
        self.safe.add(chunk_id)
        await self.end_jobs(chunk_id)

    @rule(which=CHUNK)
    def its_jobs_fail(self, which: int) -> None:
        self.run(self.end_jobs(IDS[which]))

    async def end_jobs(self, chunk_id: bytes) -> None:
        jobs, self.jobs[chunk_id] = self.jobs[chunk_id], []
        for job in jobs:
            await self.unpin(job)

    async def unpin(self, job: str) -> None:
        for node in self.nodes:
            await self.village.pause()
            await node.store.unpin(job)

    @rule(which=CHUNK)
    def its_version_is_removed(self, which: int) -> None:
        self.village.roots.live.pop(IDS[which], None)
        self.safe.discard(IDS[which])

    # -- What nodes do

    @rule(seed=SEED, which=CHUNK)
    def all_trim_at_once_while_a_job_uses_it_again(self, seed: int, which: int) -> None:
        trims = [node.upkeep.surplus.pass_once() for node in self.nodes]
        self.together(seed, *trims, self.reuse(IDS[which]))

    @rule(seed=SEED, which=CHUNK)
    def all_collect_at_once_while_a_job_uses_it_again(self, seed: int, which: int) -> None:
        passes = [node.upkeep.collect.pass_once() for node in self.nodes]
        self.together(seed, *passes, self.reuse(IDS[which]))

    @rule(seed=SEED, which=CHUNK)
    def all_collect_at_once_while_its_job_ends_well(self, seed: int, which: int) -> None:
        """The lists that they read may be from before the manifest, the pins gone already."""
        passes = [node.upkeep.collect.pass_once() for node in self.nodes]
        ends = [self.succeed(IDS[which])] if self.jobs[IDS[which]] else []
        self.together(seed, *passes, *ends)

    @rule(seed=SEED)
    def all_inspect_and_trim_at_once(self, seed: int) -> None:
        looks = [node.upkeep.inspector.pass_once() for node in self.nodes]
        trims = [node.upkeep.surplus.pass_once() for node in self.nodes]
        self.together(seed, *looks, *trims)

    @rule(number=NODE)
    def one_is_away_or_back(self, number: int) -> None:
        self.nodes[number].up = not self.nodes[number].up

    @rule(seconds=st.sampled_from([HOUR_S, DAY_S, 2 * DAY_S]))
    def time_goes_by(self, seconds: float) -> None:
        self.village.clock.now_s += seconds

    @rule(number=NODE, which=CHUNK)
    def a_disk_loses_a_copy(self, number: int, which: int) -> None:
        """Where that leaves enough, counting what lies in the trash."""
        node, chunk_id = self.nodes[number], IDS[which]
        enough = self.count(chunk_id, alive=False) > R and not self.jobs[chunk_id]
        if enough and self.run(node.has(chunk_id)):
            node.store.lose(chunk_id)
            self.run(node.upkeep.scrub.everything())

    # -- What must hold

    @invariant()
    def what_was_safe_has_its_copies_on_disk(self) -> None:
        for chunk_id in self.safe:
            assert self.count(chunk_id, alive=False) >= R

    @invariant()
    def what_a_job_holds_is_among_the_living(self) -> None:
        for chunk_id, jobs in self.jobs.items():
            if jobs:
                assert self.count(chunk_id, alive=True) >= R

    @precondition(lambda self: self.safe)
    @rule()
    def after_inspection_and_repair_all_that_is_named_lives(self) -> None:
        for node in self.nodes:
            node.up = True
            self.run(node.upkeep.inspector.pass_once())
        for node in self.nodes:
            for damage in list(node.upkeep.damages.open.values()):
                self.run(node.upkeep.repair.attempt(damage, Rate(lambda: 1e9)))
        for chunk_id in self.safe:
            assert self.count(chunk_id, alive=True) >= R

    def count(self, chunk_id: bytes, *, alive: bool) -> int:
        return sum(
            bool(self.run(node.has(chunk_id) if alive else node.keeps_file(chunk_id)))
            for node in self.nodes
        )


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=10, stateful_step_count=40, deadline=None)
