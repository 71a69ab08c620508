"""The worker of a real node: joined with its sources, its wire, its keys and its processes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nodeagent.config.model import Config
from nodeagent.jobs.contract import Sources
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.keeping import Keeping
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.planning import pipeline_of
from nodeagent.jobs.working.room import Room
from nodeagent.jobs.working.sending import CarefulBrain
from nodeagent.jobs.working.tracing import Traces, Watcher
from nodeagent.jobs.working.worker import Worker, WorkerParts
from nodeagent.process.pool import Pool
from nodeagent.store.keyring_council import CouncilKeyring
from nodeagent.wire.deliver import Deliverer


@dataclass(frozen=True, slots=True)
class WorkingMeans:
    world: JobWorld
    config: Callable[[], Config]
    sources: Sources
    deliverer: Deliverer
    keyring: CouncilKeyring
    keeping: Callable[[], Keeping]
    pool: Pool
    watcher: Watcher
    traces: Traces


def worker(means: WorkingMeans) -> Worker:
    """Without the cluster key it works on nothing, and says so."""
    brain = CarefulBrain(means.deliverer.brain, time.monotonic)
    world, keyring = means.world, means.keyring

    def keepers(job: str, nodes: Sequence[str]) -> Keepers:
        return Keepers(job, nodes, world.own, means.keeping(), world.channel, world.rng)

    return Worker(
        WorkerParts(
            own=world.own,
            sources=means.sources,
            deliverer=replace(means.deliverer, brain=brain),
            brain=brain,
            key_of=keyring.key if keyring.cluster_keys else None,
            keepers=keepers,
            pipelines=means.pool,
            pipeline_of=pipeline_of,
            python_path=lambda: [str(path) for path in means.config().process.python_path],
            room=Room(lambda: means.config().work),
            watcher=means.watcher,
            traces=means.traces,
            links=means.deliverer.ground.usage.now,
            rng=world.rng,
        )
    )
