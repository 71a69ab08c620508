"""Bugs that cost data, jobs or decisions, each planted in one part of production on purpose: some
life has to complain of each of them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from coordinator.jobs.facts import Result
from coordinator.jobs.ledger import Ledger, Totals
from coordinator.policy import Policy
from multicloud.v1 import records_pb2, task_pb2
from nodeagent.council.copy import Copy
from nodeagent.jobs.steward_ending import Ending
from nodeagent.store.contract import Pin
from nodeagent.upkeep.contract import Live
from nodeagent.upkeep.surplus import Surplus
from tests.sim.council.planted import AcceptsAnything, ForgetsPromises
from tests.sim.whole.disk import Habits
from tests.sim.whole.rules import Rules
from tests.sim.whole.shelf import Shelf

Plant = Callable[[Any], None]


def _in_runs(plant: Plant) -> Plant:
    """In each steward's run, as it begins."""

    class Runs(dict[str, Any]):
        def __setitem__(self, job: str, run: Any) -> None:
            plant(run)
            super().__setitem__(job, run)

    def changed(plane: Any) -> None:
        plane.runs = Runs()
        plane.tasks.runs = plane.runs.get

    return changed


# --- keepers and stewards


class CountsEveryResult(Ledger):
    def totals(self) -> Totals:
        found = super().totals()
        more = sum(len(task.results) - 1 for task in self.tasks.values() if task.results)
        return _with(found, objects_ingested=found.objects_ingested + more)


def _with(totals: Totals, **changed: int) -> Totals:
    return Totals(**{one.name: getattr(totals, one.name) for one in fields(totals)} | changed)


def _counts_every_result(run: Any) -> None:
    run.steward.ledger.__class__ = CountsEveryResult


def _takes_every_result_into_the_version(run: Any) -> None:
    async def all_of_them() -> AsyncIterator[task_pb2.TaskResult]:
        ledger, number = run.steward.ledger, 0
        async for result in type(run).chosen(run):
            yield result
            for other in ledger.tasks[result.task].results.values() if result.chunks else ():
                if other.chunks[0].id != result.chunks[0].id:
                    number += 1
                    yield _told(other, number)

    run.__class__ = _subclass(run.__class__, chosen=lambda self: all_of_them())


def _subclass(kind: type, **changed: Any) -> type:
    return type("Planted", (kind,), {"__slots__": (), **changed})


def _told(result: Result, number: int) -> task_pb2.TaskResult:
    chunks = [task_pb2.SealedChunk(id=one.id, sealed_bytes=one.file_bytes) for one in result.chunks]
    return task_pb2.TaskResult(task=f"{result.task}/{number}", chunks=chunks)


def _forgets_the_last_page(run: Any) -> None:
    """Says that the listing is over a page too early."""
    source = run.source

    class Hasty:
        away = ""

        async def page(self, number: int, cursor: str) -> task_pb2.ListingPage:
            page = await source.page(number, cursor)
            page.last = page.last or number > 0
            return page

        async def close(self) -> None:
            await source.close()

    run.source = Hasty()


# --- decisions


class EndsAgain(Ending):
    """Decides another outcome although there is one."""

    async def _decide(self, header: Any, run: Any, error: str, written: Any) -> None:
        await super()._decide(header, run, error, written)
        await asyncio.sleep(0.5)

        def open_again(value: records_pb2.JobHeader) -> None:
            value.ClearField("outcome")

        await self.headers.change(header.id, open_again)
        await super()._decide(header, run, error, written)


def _decides_twice(plane: Any) -> None:
    old = plane.ending
    plane.ending = EndsAgain(old.world, old.headers, old.council, old.manifests)


def _never_tells_the_version(plane: Any) -> None:
    async def nothing(_header: Any) -> None:
        return

    old = plane.ending
    plane.ending = _subclass(Ending, tell_version=staticmethod(nothing))(
        old.world, old.headers, old.council, old.manifests
    )


def _copies_take_whatever_comes_last(process: Any) -> None:
    class Gullible(Copy):
        __slots__ = ()

        def put(self, key: str, state: Any) -> bool:
            if key.startswith("version/") and key in self.states:
                del self.states[key]
            return super().put(key, state)

    process.council.copy.__class__ = Gullible


# --- chunks and their upkeep


def _surplus(process: Any, **changed: Any) -> None:
    old = process.upkeep.surplus
    kind = _subclass(Surplus, **changed)
    new = kind(**{one.name: getattr(old, one.name) for one in fields(old)})
    process.upkeep.surplus = new
    process.upkeep.inspector.kept_elsewhere = new.kept_elsewhere


def _trims_without_asking(process: Any) -> None:
    async def everybody(self: Any, ids: Sequence[bytes]) -> dict[bytes, set[str]]:
        return {one: {site.node for site in process.members.others()} for one in ids}

    async def surely(*_: Any, **__: Any) -> bool:
        return True

    _surplus(
        process,
        _who_has=everybody,
        _proven=surely,
        _better=lambda self, _id: list(process.members.others()),
    )


def _collects_by_a_stale_list(process: Any) -> None:
    """What was live when it began is all that ever is."""
    true = process.roots

    class Stale:
        live: Live | None = None

        async def read(self, *, anew: bool = True) -> Live | None:
            self.live = self.live or await true.read(anew=anew)
            return self.live and Live(self.live.chunks, process.unix_s())

        async def names(self, ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
            live = await self.read()
            named = {one: live is not None and one in live.chunks for one in ids}
            return named, process.unix_s()

    stale = Stale()
    process.upkeep.collect.roots = process.upkeep.inspector.witness = stale


def _unlinks_what_it_trashes(process: Any) -> None:
    """No inspector: a collector that believes its own list, and nothing is kept for a while."""
    collect, store = process.upkeep.collect, process.store
    _collects_by_a_stale_list(process)

    class Unlinks:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def trash(self, chunk_id: bytes, why: str) -> bool:
            return await store.trash(chunk_id, why) and bool(await store.purge(chunk_id))

    collect.chunks = Unlinks()


def _forgets_pins(process: Any) -> None:
    class Forgetful(Shelf):
        async def pins(self, chunk_id: bytes) -> list[Pin]:
            return []

    process.store.__class__ = Forgetful
    _collects_by_a_stale_list(process)


def _never_repairs(process: Any) -> None:
    async def nothing() -> int:
        return 0

    process.upkeep.shortage.__class__ = _subclass(
        type(process.upkeep.shortage), look=lambda self: nothing()
    )


def _repairs_by_half(process: Any) -> None:
    """Content with two copies."""
    giving = process.upkeep.shortage.giving

    class Lazy:
        async def give(self, held: Any, policy: Policy, holders: Sequence[str]) -> Sequence[str]:
            return () if len(holders) > 1 else await giving.give(held, policy, holders)

    process.upkeep.shortage.giving = Lazy()


def _never_collects(process: Any) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        return

    process.upkeep.collect.__class__ = _subclass(type(process.upkeep.collect), pass_once=nothing)


def _deleted_comes_back(process: Any) -> None:
    """Whatever lies in the trash is taken back, whoever removed it."""

    async def named(ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        return dict.fromkeys(ids, True), process.unix_s()

    process.upkeep.inspector.witness = type("All", (), {"names": staticmethod(named)})()


def _pins_are_let_go_early(plane: Any) -> None:
    """When the worker says that it is done, long before a version names it."""
    true = plane.near.manifests

    async def write(header: Any, results: Any) -> Any:
        for process in list(true.process.world.processes.values()):
            await process.store.unpin(header.id)
            await process.upkeep.collect.pass_once()
        return await true.write(header, results)

    plane.ending.manifests = type("Early", (), {"write": staticmethod(write)})()


PLANTED: Mapping[str, Rules] = {
    "ballots are answered before they are synced": Rules(habits=Habits(ballots_synced=False)),
    "promises are forgotten": Rules(acceptor=ForgetsPromises),
    "accepts below its promise": Rules(acceptor=AcceptsAnything),
    "results are counted twice": Rules(jobs=_in_runs(_counts_every_result)),
    "all results are in the version": Rules(jobs=_in_runs(_takes_every_result_into_the_version)),
    "the last page is forgotten": Rules(jobs=_in_runs(_forgets_the_last_page)),
    "an outcome is decided twice": Rules(jobs=_decides_twice),
    "the version is never told": Rules(jobs=_never_tells_the_version),
    "copies take what comes last": Rules(upkeep=_copies_take_whatever_comes_last),
    "trims without asking": Rules(upkeep=_trims_without_asking),
    "collects by a stale list": Rules(upkeep=_collects_by_a_stale_list),
    "unlinks what it trashes": Rules(upkeep=_unlinks_what_it_trashes),
    "pins are forgotten": Rules(upkeep=_forgets_pins),
    "pins are let go early": Rules(jobs=_pins_are_let_go_early),
    "nothing is ever repaired": Rules(upkeep=_never_repairs),
    "two copies are thought enough": Rules(upkeep=_repairs_by_half),
    "nothing is ever collected": Rules(upkeep=_never_collects),
    "deleted chunks come back": Rules(upkeep=_deleted_comes_back),
}
