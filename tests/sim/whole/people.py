"""Those who use the cluster: they submit jobs, remove versions and take that back, and change and
look at registers, at whichever node answers; they ask again when nobody did.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs.datasets.removing import Removing
from nodeagent.jobs.header import Header, request_digest
from nodeagent.jobs.header_making import Making
from tests.sim.linear import NEVER_S, Told
from tests.sim.whole.source import CHUNK_BYTES

PATIENCE_S = 8.0
LOOKS_EVERY_S = 1.2
KEYS = ("name/a", "name/b")


class SimMaking(Making):
    async def _new_key(self, dataset: str) -> bytes:
        return b"key of " + dataset.encode()


class Keys:
    """No key is ever shredded here."""

    async def find(self, key_id: bytes) -> bytes:
        return key_id


class People:
    def __init__(self, life: Any) -> None:
        self.life = life
        self.rng = life.chance
        self.jobs: dict[str, job_pb2.JobSpec] = {}
        self.answered: dict[str, Header] = {}  # Submits that were answered.
        self.told: list[Told] = []
        self.removed: set[tuple[str, str]] = set()  # Told that it is removed.
        self.restored: set[tuple[str, str]] = set()
        self.submitted = 0
        self.resting = False
        self._versions: dict[str, int] = {}
        self._asked = 0

    def begin(self, end_s: float) -> None:
        life, rng = self.life, self.rng
        self.submitted = rng.randint(1, life.size.troubles_max // 2)
        for number in range(self.submitted):
            life.at(
                life.now_s + rng.uniform(0, 0.6) * number * life.size.trouble_s,
                partial(self._submit, number),
            )
        for _ in range(rng.randint(0, 2)):
            life.at(life.now_s + rng.uniform(0.3, 1.4) * life.size.trouble_s, self._remove)
        life.at(life.now_s + rng.random(), self._looks)

    def rest(self) -> None:
        self.resting = True

    # --- somebody who asks until a node answers

    def _somewhere(
        self, work: Callable[[Any], Awaitable[Any]], then: Callable[[Any], None], tries: int = 30
    ) -> None:
        life = self.life
        living = sorted(life.processes)
        over = [False]

        def again() -> None:
            if not over[0]:
                over[0] = True
                if tries > 1:
                    self._somewhere(work, then, tries - 1)

        async def asks(process: Any) -> None:
            try:
                found = await work(process)
            except McError as error:
                if error.reason in ("NOT_FOUND", "FAILED"):
                    over[0] = True
                return
            if not over[0]:
                over[0] = True
                then(found)

        life.at(life.now_s + PATIENCE_S, again)
        if living:
            process = life.processes[self.rng.choice(living)]
            process.loop.spawn(asks(process))

    # --- jobs

    def _submit(self, number: int) -> None:
        dataset = self.rng.choice(("corpus", "corpus", "other"))
        folder = f"folder-{number}"
        self.life.source.fill(folder, self.rng)
        spec = job_pb2.JobSpec(
            dataset=dataset, source=f"memory://{folder}", chunk_size_bytes=CHUNK_BYTES
        )
        job = f"job{self.rng.getrandbits(40):010x}"
        self.jobs[job] = spec
        self._somewhere(partial(self._makes, job, spec), partial(self._made, job))

    async def _makes(self, job: str, spec: job_pb2.JobSpec, process: Any) -> Header:
        council, plane = process.council.council, process.jobs
        making = SimMaking(
            process.world_of_jobs, council, plane.headers, cast(Any, Keys()), cast(Any, None),
            trace_one_in=lambda: 1,
        )  # fmt: skip
        digest = request_digest(spec)
        earlier = await plane.headers.earlier(job, digest)
        if earlier is not None:
            return cast(Header, earlier)
        keepers = making._keepers(job, spec)
        version, key_id = await making._reserve(spec.dataset)
        header = records_pb2.JobHeader(
            id=job,
            spec=spec,
            request_id=job,
            request_digest=digest,
            keepers=keepers,
            steward=keepers[0].node,
            epoch=1,
            version=str(version),
            key_id=key_id,
        )
        made: Header = await plane.headers.create(header)
        plane.learn(made)
        return made

    def _made(self, job: str, header: Header) -> None:
        self.answered[job] = header

    def headers(self) -> dict[str, Header]:
        """Of jobs that are not decided, the newest that anybody knows."""
        found: dict[str, Header] = {}
        for process in self.life.processes.values():
            for job, header in process.jobs.known.items():
                if job not in found or header.version > found[job].version:
                    found[job] = header
        return {job: header for job, header in found.items() if not header.decided}

    def all_ended(self) -> bool:
        known = [p.jobs.known for p in self.life.processes.values()]
        return len(self.answered) == self.submitted and all(
            job in jobs and jobs[job].decided for job in self.answered for jobs in known
        )

    def why_not_ended(self) -> list[str]:
        found = []
        for job, header in self.headers().items():
            steward = self.life.processes.get(header.value.steward)
            waits = ["no steward runs"]
            if steward is not None and (run := steward.jobs.runs.get(job)) is not None:
                with steward.loop.within():
                    waits = run.waits()
            name = self.life.by_id[header.value.steward].name
            found.append(
                f"job {job} of steward {name}, epoch {header.value.epoch}, did not end: {waits}"
            )
        if len(self.answered) < self.submitted:
            found.append("a submit was not answered")
        return found or ["a job that ended is not known everywhere"]

    # --- versions

    def _remove(self) -> None:
        versions = sorted(
            {
                (record.name, record.version)
                for process in self.life.processes.values()
                for record in process.versions.all()
            }
        )
        if not versions:
            return
        which = self.rng.choice(versions)
        self._asked += 1
        wish = f"rm-{self._asked}"
        self._somewhere(partial(self._removes, which, wish), lambda _: self._was_removed(which))

    async def _removes(self, which: tuple[str, str], wish: str, process: Any) -> Any:
        removing = Removing(process.versions, cast(Any, process), cast(Any, None))
        return await removing.remove(*which, wish, shred=False)

    def _was_removed(self, which: tuple[str, str]) -> None:
        self.removed.add(which)
        if self.rng.random() < 0.3:
            self._asked += 1
            wish = f"undelete-{self._asked}"
            self._somewhere(
                partial(self._restores, which, wish), lambda _: self._was_restored(which)
            )

    async def _restores(self, which: tuple[str, str], wish: str, process: Any) -> Any:
        removing = Removing(process.versions, cast(Any, process), cast(Any, None))
        self.restored.add(which)  # From now on it may stand again, whoever hears of it.
        return await removing.restore(*which, wish)

    def _was_restored(self, which: tuple[str, str]) -> None:
        self.removed.discard(which)

    # --- registers

    def _looks(self) -> None:
        if self.resting or not self.life.processes:
            return
        life, rng = self.life, self.rng
        process = life.processes[rng.choice(sorted(life.processes))]
        key = rng.choice(KEYS)
        process.loop.spawn(self._look(process, key))
        life.at(life.now_s + rng.uniform(0.5, 1.5) * LOOKS_EVERY_S, self._looks)

    async def _look(self, process: Any, key: str) -> None:
        life, council = self.life, process.council.council
        begun_s = life.now_s
        if self.rng.random() < 0.3:
            try:
                register = await council.get(key)
            except McError:
                return
            self._versions[key] = register.version
            self.told.append(Told(key, begun_s, life.now_s, register.version, register.value))
            return
        self._asked += 1
        wish, expected = f"wish-{self._asked}", self._versions.get(key, 0)
        place = len(self.told)
        self.told.append(Told(key, begun_s, NEVER_S, expected=expected, wanted=wish.encode()))
        try:
            made = await council.compare_and_set(key, expected, wish.encode(), wish)
        except McError:
            return
        self._versions[key] = made.version
        self.told[place] = Told(
            key, begun_s, life.now_s, made.version, made.value, expected, wish.encode(),
            made.changed,
        )  # fmt: skip
