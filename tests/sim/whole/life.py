"""One life: a cluster that runs jobs and keeps data while everything happens to it, then is healed,
and has to have kept every promise. One seed is one life.
"""

import gc
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import structlog

from coordinator.settings import Settings
from coordinator.types import Domain
from multicloud.v1 import common_pb2, council_pb2
from tests.sim import faults
from tests.sim.hosts import Host
from tests.sim.whole import judging
from tests.sim.whole.calls import Wires
from tests.sim.whole.disk import Disk
from tests.sim.whole.options import unix_s
from tests.sim.whole.people import People
from tests.sim.whole.process import Process
from tests.sim.whole.rules import AS_IT_IS, Rules
from tests.sim.whole.shelf import Shelf
from tests.sim.whole.source import MemorySource
from tests.sim.world import World

ENDS_S = 90.0  # Healed, every job has ended by then.
SMALL_OF = 5  # Of so many lives all but one are short, and of a few nodes.
BRAIN = Settings(probe_s=1.0, hold_s=5.0, freeze_s_max=12.0, sync_s=2.0)
ALL_NEEDED = 4  # With so few none may be gone for good: the policy asks for three zones.
CLOUDS = ("aws", "gcp", "azure")


@dataclass(frozen=True, slots=True)
class Size:
    nodes: tuple[int, ...]
    settled_s: float  # The council has grown, and everybody knows everybody.
    trouble_s: float
    after_s: float  # Days of the wall clocks, for repair, trash and its inspector.
    troubles_max: int


SMALL = Size((3, 4), 4.5, 10.0, 14.0, 4)
LARGE = Size((5, 6, 6, 7), 7.0, 24.0, 24.0, 7)


class Life(World):
    """The brain's world, with a whole process on each host."""

    def __init__(self, seed: int, rules: Rules = AS_IT_IS) -> None:
        chance = Random(f"life {seed}")
        self.size = LARGE if seed % SMALL_OF == 0 else SMALL
        count = chance.choice(self.size.nodes)
        standing = [
            Domain(CLOUDS[i % 3], f"{CLOUDS[i % 3]}-1", "abc"[i // 3]) for i in range(count)
        ]
        super().__init__(
            seed, standing, rules.brain, BRAIN, loss=chance.choice((0.0, 0.0, 0.02, 0.1))
        )
        for place in {domain.place for domain in standing}:
            for other in {domain.place for domain in standing}:
                self.network._rtts_s.setdefault((place, other), 0.03 if place != other else 0.001)
        self.rules = rules
        self.chance = chance
        self.same_chunks = chance.random() < 0.5
        self.folder = tempfile.TemporaryDirectory(prefix="mc-life-")
        self.processes: dict[str, Process] = {}
        self.every_process: list[Process] = []
        self.disks: dict[str, Disk] = {}
        self.old_disks: list[Disk] = []
        self.gone: set[str] = set()  # For good.
        self.happened: list[str] = []  # For who looks at one life.
        self.manifests: dict[bytes, Any] = {}
        self.poisoned: set[str] = set()
        self.evidence = judging.Evidence(self)
        self.wires = Wires(self, self.processes.get)
        self.source = MemorySource(self.rng)
        for host in self.hosts:
            self.disks[host.id] = self._new_disk(host, 0)
            facts = common_pb2.NodeFacts(id=host.id, name=host.name)
            host.more = facts.SerializeToString()
        self.people = People(self)

    # --- processes

    def start(self, host: Host, seeds: Any = ()) -> None:
        first = host.generation == 0 and not self.disks[host.id].number
        super().start(host, seeds)
        process = Process(
            self, host, self.disks[host.id], self.wires, Path(self.folder.name), self.rules,
            self.source, first,
        )  # fmt: skip
        process.slowness_s = self.rng.choice((0.2, 0.6, 3.0))
        self.processes[host.id] = process
        self.every_process.append(process)
        process.start()

    def crash(self, host: Host, silent: bool = False) -> None:
        process = self.processes.pop(host.id, None)
        if process is not None:
            process.loop.die()
            self.wires.died(process)
        if silent:
            faults.silence(self, host)
        else:
            faults.kill(self, host)

    def restart(self, host: Host) -> None:
        if not host.running and host.id not in self.gone:
            faults.restart(self, host)

    def wipe(self, host: Host) -> None:
        """The machine stops, and what comes back has an empty disk."""
        self.crash(host)
        self.old_disks.append(self.disks[host.id])
        self.disks[host.id] = self._new_disk(host, self.disks[host.id].number + 1)
        host.generation = 0

    def _new_disk(self, host: Host, number: int) -> Disk:
        volume = f"{host.id}-{number}"

        shelf = Shelf(volume, clock=lambda: unix_s(self.now_s, host), judge=self.evidence)
        return Disk(host.id, number, shelf)

    def _tell(self, host: Host, tell: Any) -> None:
        super()._tell(host, tell)
        process = self.processes.get(host.id)
        if process is not None:
            if tell.what in ("node.dead", "node.down", "node.left", "node.gone"):
                process.lost[tell.node] = tell.what, process.loop.time()
            elif tell.what == "node.alive":
                process.lost.pop(tell.node, None)

    # --- what parts tell

    def copied(self, key: str, body: bytes) -> None:
        state = council_pb2.RegisterState.FromString(body)
        self.evidence.decided(key, state.version, state.value)

    def acked(self, job: str, result: str, chunk_id: bytes) -> None:
        self._trace.update(chunk_id)
        self.evidence.acked(job, result, chunk_id)

    # --- the life

    def live(self) -> list[str]:
        """What was wrong in it."""
        quiet = structlog.get_config()
        collects = gc.isenabled()
        gc.disable()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        try:
            return self._live()
        finally:
            structlog.configure(**quiet)
            for process in self.every_process:
                process.loop.bury()
            self.folder.cleanup()
            if collects:
                gc.enable()

    def _live(self) -> list[str]:
        self.boot()
        self.run(self.size.settled_s)
        end_s = self.now_s + self.size.trouble_s
        self.people.begin(end_s)
        Troubles(self).begin(end_s)
        self.run(self.size.trouble_s)
        self._heal()
        ended = self.run_until(self.people.all_ended, ENDS_S, every_s=1.0)
        if not ended:
            broken = (line for process in self.every_process for line in process.loop.broken)
            return [*self.people.why_not_ended(), *self.evidence.wrong, *broken]
        self.people.rest()
        self.run(self.size.after_s)
        return judging.judged(self)

    def _heal(self) -> None:
        faults.heal(self)
        self.network.loss = 0.0
        self.source.away = ""
        for host in self.hosts:
            self.restart(host)

    def life_trace(self) -> str:
        told = blake2b(self.trace.encode(), digest_size=16)
        for process in self.every_process:
            told.update(f"{process.host.index} {process.loop.steps}".encode())
        for line in self.evidence.story():
            told.update(line.encode())
        return told.hexdigest()


class Troubles:
    """What goes wrong in a life, and when. At most one disk is lost for good."""

    def __init__(self, life: Life) -> None:
        self.life, self.rng = life, life.chance
        self.lost_disks = 0

    def begin(self, end_s: float) -> None:
        life, rng = self.life, self.rng
        kinds: list[Callable[[], None]] = rng.choices(
            [self._crash, self._crash_all, self._freeze, self._cut, self._one_way, self._wipe,
             self._leave_for_good, self._step_clock, self._source_goes, self._silence,
             self._crash_steward, self._freeze_steward, self._crash_two],
            weights=[5, 1, 3, 3, 2, 1.5, 1, 2, 1, 2, 4, 2, 2],
            k=rng.randint(0, life.size.troubles_max),
        )  # fmt: skip
        for kind in kinds:
            at_s = life.now_s + rng.uniform(0, (end_s - life.now_s) * 0.9)
            life.at(at_s, partial(self._does, kind))

    def _does(self, kind: Callable[[], None]) -> None:
        self.life.happened.append(f"{self.life.now_s:7.2f}  {kind.__name__.strip('_')}")
        kind()

    def _running(self) -> list[Host]:
        return self.life.running

    def _one(self) -> Host | None:
        return self.rng.choice(self._running()) if self._running() else None

    def _back(self, host: Host, within_s: float = 15.0) -> None:
        self.life.at(
            self.life.now_s + self.rng.uniform(0.2, within_s), partial(self.life.restart, host)
        )

    def _crash(self) -> None:
        if host := self._one():
            self.life.crash(host)
            self._back(host)

    def _crash_two(self) -> None:
        self._crash()
        self._crash()

    def _silence(self) -> None:
        if host := self._one():
            self.life.crash(host, silent=True)
            self._back(host)

    def _crash_all(self) -> None:
        for host in self._running():
            self.life.crash(host)
            self._back(host, 5.0)

    def _crash_steward(self) -> None:
        if host := self._steward():
            self.life.crash(host)
            self._back(host, 20.0)

    def _freeze_steward(self) -> None:
        if host := self._steward():
            self.life.pause(host, self.rng.uniform(1, 25))

    def _steward(self) -> Host | None:
        stewards = {job: header.value.steward for job, header in self.life.people.headers().items()}
        nodes = [node for node in stewards.values() if self.life.by_id[node].running]
        return self.life.by_id[self.rng.choice(sorted(nodes))] if nodes else self._one()

    def _freeze(self) -> None:
        if host := self._one():
            self.life.pause(host, self.rng.uniform(0.5, 25))

    def _cut(self) -> None:
        hosts = self.life.hosts
        if self.rng.random() < 0.5:  # A whole cloud.
            cloud = self.rng.choice(CLOUDS)
            one = [host for host in hosts if host.domain.cloud == cloud]
        else:
            one = self.rng.sample(hosts, self.rng.randint(1, len(hosts) // 2))
        faults.split(self.life, one)
        self._mends()

    def _one_way(self) -> None:
        if self.rng.random() < 0.5:
            faults.split(self.life, [self.rng.choice(self.life.hosts)], one_way=True)
        else:
            faults.one_way(self.life, *self.rng.sample(self.life.hosts, 2))
        self._mends()

    def _mends(self) -> None:
        self.life.at(self.life.now_s + self.rng.uniform(1, 25), partial(faults.heal, self.life))

    def _wipe(self) -> None:
        host = self._one()
        if host and self._may_lose():
            self.life.wipe(host)
            self._back(host)

    def _leave_for_good(self) -> None:
        host = self._steward() if self.rng.random() < 0.5 else self._one()
        if host and host.index and len(self.life.hosts) > ALL_NEEDED and self._may_lose():
            self.life.crash(host, silent=self.rng.random() < 0.5)
            self.life.gone.add(host.id)
            self.life.old_disks.append(self.life.disks.pop(host.id))

    def _may_lose(self) -> bool:
        """One disk in a life, where council and policy go on without it."""
        epochs = [p.council.copy.epoch for p in self.life.processes.values()]
        grown = all(len(epoch.members) >= 3 for epoch in epochs)
        if self.lost_disks or not grown or len(self.life.processes) < len(self.life.hosts):
            return False
        self.lost_disks += 1
        return True

    def _step_clock(self) -> None:
        if host := self._one():
            faults.step_wall_clock(host, self.rng.choice((-30.0, -3.0, 3.0, 30.0)) * 3600.0)

    def _source_goes(self) -> None:
        source = self.life.source
        source.away = "the folder is not mounted"
        back_s = self.life.now_s + self.rng.uniform(1, 8)
        self.life.at(back_s, lambda: setattr(source, "away", ""))
