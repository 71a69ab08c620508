"""Plays scenes on the modelled disk: the power goes after every call, and every call fails once.

After each the folder is judged by its bytes, and the store is opened on it and asked.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from multicloud.errors import McError
from nodeagent.store.contract import VolumeState
from nodeagent.store.volumes import Volumes
from tests.crash.asking import NEW, ask
from tests.crash.caller import Caller
from tests.crash.cuts import Cut
from tests.crash.disk import Disk, Mark, Op, Tree
from tests.crash.faults import Fault, Faulty, Kind
from tests.crash.ground import NOW_S, ROOT, Ground
from tests.crash.owed import Fact, Owed, Word
from tests.crash.planted import Wrap, sound
from tests.crash.scenes import A, Scene
from tests.support.disks import Verdict, judge


@dataclass(frozen=True, slots=True)
class Effort:
    cuts: int  # So many calls of a scene are followed by a power cut,
    units_max: int  # with all states of the disk, up to so many unforced parts,
    samples: int  # and so many of those with more.
    reopened: int  # States of one log on which the store is opened;
    again: int  # so many of these openings are cut in their turn.
    failed: int  # So many calls fail, each in every way.
    first: bool = False  # The search ends with what it finds first.


ALL = 1 << 30
MANY, FEW = 100, 20  # Of so many parts, as when 256 folders are made, fewer states tell as much.
QUICK = Effort(cuts=40, units_max=4, samples=6, reopened=6, again=1, failed=8)
FULL = Effort(cuts=ALL, units_max=10, samples=400, reopened=150, again=20, failed=ALL)


@dataclass
class Found:
    """What a search came upon, and how far it looked."""

    wrong: list[str] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Found") -> None:
        self.wrong += other.wrong
        self.count += other.count

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in sorted(self.count.items()))


@dataclass
class Before:
    """Where a scene begins: what is on the disk, and what is owed already."""

    tree: Tree
    owed: Owed
    files: dict[bytes, bytes]
    clock_s: float
    spoiled: frozenset[str]  # Files in which a bit was flipped.


@dataclass
class Run:
    before: Before
    disk: Disk
    faulty: Faulty
    refused: Counter[str]
    wrong: list[str]

    @property
    def log(self) -> list[Op]:
        return self.disk.log


class Points:
    """One store kind (sound or with a planted bug) on one piece of ground."""

    def __init__(self, ground: Ground, plant: Wrap = sound, seed: int = 1) -> None:
        self._ground = ground
        self._plant = plant
        self._chance = Random(seed)

    async def before(self, scene: Scene) -> Before:
        """Played without faults, bugs or cuts, then closed and synced."""
        self._ground.clear()
        files: dict[bytes, bytes] = {}
        tree = Tree()
        owed, clock_s = Owed(), NOW_S
        if scene.created:
            disk = Disk(ROOT, tree)
            store = await self._ground.open(disk, scene.volumes, clock_s, scene.direct)
            if scene.before is not None:
                await scene.before(Caller(store, disk.mark, files))
            await store.close()
            tree = Tree(disk.files_now(), disk.folders_now())
            owed = owed.after(disk.log, files)
        spoiled: set[str] = set()
        if scene.spoiled:
            path = next(p for p in tree.files if p.endswith(f"/{A.id.hex()}.chunk"))
            changed = bytearray(tree.files[path])
            changed[len(changed) // 2] ^= 1
            tree = Tree({**tree.files, path: bytes(changed)}, tree.folders)
            spoiled.add(path)
            owed.evidence.append(bytes(changed))
            owed.living.discard(A.id)
            owed.kept.discard(A.id)
        self._ground.keep("before")
        return Before(tree, owed, files, clock_s + scene.later_s, frozenset(spoiled))

    async def run(self, scene: Scene, before: Before, fault: Fault | None = None) -> Run:
        """The scene itself, on a disk with at most one fault."""
        self._ground.put_back("before")
        disk = Disk(ROOT, before.tree)
        faulty = Faulty(disk, fault, scene.slow_s)
        run = Run(before, disk, faulty, Counter(), [])
        files = self._plant(faulty)
        if scene.opening:
            faulty.arm()
        try:
            store = await self._ground.open(files, scene.volumes, before.clock_s, scene.direct)
        except McError as error:
            run.refused[error.reason] += 1
        else:
            faulty.arm()
            caller = Caller(store, disk.mark, before.files)
            await scene.play(caller)
            run.refused += caller.refused
            run.wrong += await self._told(run, store, caller)
            faulty.arm(False)
            await store.close()
        self._ground.keep("after")
        if disk.open_fds():
            run.wrong.append(f"{disk.open_fds()} files were left open")
        run.wrong += disk.complaints
        return run

    async def _told(self, run: Run, store: Volumes, caller: Caller) -> list[str]:
        """What the store says of itself after the scene."""
        run.faulty.arm(False)
        states = {health.state for health in store.healths().values()}
        if run.faulty.failed_sync and VolumeState.FAILED not in states:
            return ["a sync failed, and the volume is not"]
        if not run.faulty.hit and states != {VolumeState.HEALTHY}:
            return [f"nothing failed, and the volume is {states}"]
        if (
            run.faulty.failed_sync
            and states == {VolumeState.FAILED}
            and await caller.put(NEW) is not None
        ):
            return ["a volume took a chunk after its sync had failed"]
        return []

    async def power_cuts(self, scene: Scene, effort: Effort) -> Found:
        """After every call of the scene, in every state that the disk may be in then."""
        before = await self.before(scene)
        run = await self.run(scene, before)
        found = Found([*run.wrong])
        found.wrong += [
            f"refused with {reason}, and nothing failed"
            for reason in run.refused
            if reason not in answers(scene)
        ]
        states = self._cut(scene, before, run.log, effort, found)
        for number, (tree, owed) in enumerate(self._some(states, effort.reopened)):
            if effort.first and found.wrong:
                break
            log = await self._reopen(scene, before, tree, owed, found)
            if number < effort.again:
                found.count["recoveries cut"] += 1
                shifted = Before(tree, owed, before.files, before.clock_s, before.spoiled)
                later = self._cut(scene, shifted, log, effort, found)
                for again, still in self._some(later, 2):
                    await self._reopen(scene, before, again, still, found)
        return found

    async def faults(self, scene: Scene, effort: Effort) -> Found:
        """Each call fails once, by EIO, for want of room, or half done; then the power goes."""
        before = await self.before(scene)
        calls = (await self.run(scene, before)).faulty.calls
        found = Found()
        for at in sorted(self._spread(len(calls), effort.failed)):
            for kind in Kind:
                if effort.first and found.wrong:
                    return found
                if not kind.fits(calls[at]):
                    continue
                one = await self._fault(scene, before, Fault(at + 1, kind), effort)
                where = f"{calls[at]}, call {at + 1}, {kind.name}"
                found.add(Found([f"{where}: {what}" for what in one.wrong], one.count))
        return found

    async def _fault(self, scene: Scene, before: Before, fault: Fault, effort: Effort) -> Found:
        run = await self.run(scene, before, fault)
        found = Found([*run.wrong], Counter({"calls failed": int(run.faulty.hit is not None)}))
        if fault.kind is Kind.SHORT and run.refused.keys() - answers(scene):
            found.wrong.append(f"a short write was no reason for {dict(run.refused)}")
        everything = Tree(run.disk.files_now(), run.disk.folders_now())
        owed = before.owed.after(run.log, before.files)
        found.wrong += self._judge(scene, before, everything, owed)
        states = list(Cut(before.tree, run.log).states(self._chance, 3, effort.samples))
        for tree in states:
            found.wrong += self._judge(scene, before, tree, owed)
        found.count["states"] += len(states)
        for tree in (everything, self._chance.choice(states)):
            await self._reopen(scene, before, tree, owed, found)
        return found

    def _cut(
        self, scene: Scene, before: Before, log: list[Op], effort: Effort, found: Found
    ) -> list[tuple[Tree, Owed]]:
        """Judges the states of every prefix; returns those that differ."""
        differing: dict[int, tuple[Tree, Owed]] = {}
        owed = before.owed.copy()
        chosen = self._spread(len(log) + 1, effort.cuts)
        for end in range(len(log) + 1):
            if end and isinstance(log[end - 1], Mark):
                owed = owed.after(log[end - 1 : end], before.files)
            if end not in chosen or (end < len(log) and _only_adds(log[end])):
                continue  # Where it only adds, the next has the same states, and more is owed.
            if effort.first and found.wrong:
                break
            found.count["cuts"] += 1
            cut = Cut(before.tree, log[:end])
            samples = effort.samples if len(cut.units) <= MANY else min(effort.samples, FEW)
            for tree in cut.states(self._chance, effort.units_max, samples):
                found.count["states"] += 1
                wrong = self._judge(scene, before, tree, owed)
                found.wrong += [f"cut at {end}: {what}" for what in wrong]
                differing[hash((end, frozenset(tree.files.items()), tree.folders))] = (tree, owed)
        return list(differing.values())

    def _judge(self, scene: Scene, before: Before, tree: Tree, owed: Owed) -> list[str]:
        """By the bytes alone, without any code of the product."""
        verdicts = verdicts_of(scene, tree)
        wrong = [
            f"{path} is visible and broken: {why}"
            for volume, verdict in verdicts.items()
            for path, why in [*verdict.broken.items(), *verdict.trash_broken.items()]
            if below(volume, path) not in before.spoiled
        ]
        if not {*owed.evidence} <= {*tree.files.values()}:
            wrong.append("evidence is gone")
        return wrong + owed.missing(together(verdicts), before.files)

    async def _reopen(
        self, scene: Scene, before: Before, tree: Tree, owed: Owed, found: Found
    ) -> list[Op]:
        """A daemon starts on what is there, with an index that is older, newer or gone."""
        index = self._chance.choice(("before", "after", "gone"))
        self._ground.put_back(index)
        disk = Disk(ROOT, tree)
        found.count["reopened"] += 1
        said = f"reopened (index: {index}): "
        try:
            store = await self._ground.open(self._plant(disk), scene.volumes, before.clock_s)
        except McError as error:
            found.wrong.append(f"{said}it does not open: {error}")
            return disk.log
        try:
            wrong = [
                f"{path} was left"
                for verdict in verdicts_of(scene, Tree(disk.files_now())).values()
                for path in verdict.unfinished
            ]
            wrong += await ask(store, owed, before.files, before.spoiled)
        finally:
            await store.close()
        now = Tree(disk.files_now(), disk.folders_now())
        wrong += self._judge(scene, before, now, owed)
        wrong += disk.complaints
        found.wrong += [said + what for what in wrong]
        return disk.log

    def _spread(self, count: int, most: int) -> set[int]:
        """Numbers below the count, the last among them, evenly and from a random start."""
        step = max(1, -(-count // most))
        return {*range(self._chance.randrange(step), count, step), *range(count)[-1:]}

    def _some(self, states: list[tuple[Tree, Owed]], count: int) -> list[tuple[Tree, Owed]]:
        return self._chance.sample(states, min(count, len(states)))


def answers(scene: Scene) -> set[str]:
    """What a healthy volume may say."""
    return {"NOT_FOUND", "PINNED", *(["DAMAGE"] if scene.spoiled else [])}


def verdicts_of(scene: Scene, tree: Tree) -> dict[str, Verdict]:
    found = {}
    for volume in scene.volumes:
        start = f"{volume}/" if volume else ""
        files = {p[len(start) :]: d for p, d in tree.files.items() if p.startswith(start)}
        found[volume] = judge(files)
    return found


def together(verdicts: dict[str, Verdict]) -> Verdict:
    """A chunk that one volume holds is held."""
    living = {c: d for verdict in verdicts.values() for c, d in verdict.living.items()}
    trash = {c: d for verdict in verdicts.values() for c, d in verdict.trash.items()}
    pins: dict[bytes, frozenset[str]] = {}
    for verdict in verdicts.values():
        for chunk, holders in verdict.pins.items():
            pins[chunk] = pins.get(chunk, frozenset()) | holders
    return Verdict(living, {}, trash, {}, {}, (), pins=pins)


def below(volume: str, path: str) -> str:
    return f"{volume}/{path}" if volume else path


def _only_adds(op: Op) -> bool:
    return (
        isinstance(op, Mark)
        and isinstance(op.fact, Fact)
        and op.fact.word in (Word.STORED, Word.LIVING, Word.KEPT)
    )
