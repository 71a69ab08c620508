"""What callers do to a store, each scene with what went before it; all of it is tried with every
call failing, and with the power going after every call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.crash.caller import Caller, chunk

A, B, C, D = chunk(1), chunk(2, 3), chunk(3), chunk(4)
GROUPED_S = 0.004
LATE_S = 2 * GROUPED_S
DAY_S = 24 * 3600.0
Play = Callable[[Caller], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    play: Play
    before: Play | None = None  # Done on a healthy disk, then closed.
    spoiled: bool = False  # A bit of A is flipped after that.
    later_s: float = 0.0  # So much time passes after that.
    volumes: tuple[str, ...] = ("",)  # Folders of the one disk.
    opening: bool = False  # The calls that open the store count too.
    slow_s: float = 0.0  # A folder's sync takes so long, so that others come to wait.
    direct: bool = False  # Past the page cache.
    created: bool = True  # Otherwise the scene begins with an empty folder.


async def nothing(caller: Caller) -> None:
    """Opening is all there is."""


async def put(caller: Caller) -> None:
    await caller.put(B, "job-1")


async def puts_at_once(caller: Caller) -> None:
    """The first keeps the disk busy; the others wait for it together."""
    async with asyncio.TaskGroup() as group:
        for one, holder in ((C, ""), (A, "job-1"), (B, ""), (D, "job-2")):
            group.create_task(caller.put(one, holder))


async def put_twice(caller: Caller) -> None:
    await caller.put(A, "job-1")
    await caller.put(A, "job-2")


async def put_twice_at_once(caller: Caller) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(caller.put(C))
        for number in range(3):
            group.create_task(caller.put(A, f"job-{number}"))


async def put_then_more(caller: Caller) -> None:
    """What fails later takes nothing back."""
    await caller.put(A, "job-1")
    await caller.put(B, "job-1")
    await caller.start_and_abort(C)
    await caller.read(A.id)
    await caller.put(C)


async def put_and_trash(caller: Caller) -> None:
    await caller.put(A)
    await caller.trash(A)


async def put_beside_trash(caller: Caller) -> None:
    """One wants it and one does not, in one group: who was given a pin has it."""

    async def late() -> None:
        await asyncio.sleep(LATE_S)  # By then the put waits for its turn.
        await caller.trash(A)
        await caller.purge(A)

    async with asyncio.TaskGroup() as group:
        group.create_task(caller.put(C))
        group.create_task(caller.put(A, "job-1"))
        group.create_task(late())


async def pin_beside_trash(caller: Caller) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(caller.put(C))
        for number in range(3):
            group.create_task(caller.have(A, f"job-{number}"))
            group.create_task(caller.trash(A))
            group.create_task(caller.purge(A))


async def put_trash_purge(caller: Caller) -> None:
    await caller.put(B, "job-1")
    await put_and_trash(caller)
    await caller.purge(A)
    await caller.purge(B)  # It lives: a purge takes from the trash only.


async def put_trash_revive(caller: Caller) -> None:
    await put_and_trash(caller)
    await caller.revive(A)
    await caller.trash(A)
    await caller.have(A, "job-3")
    await caller.trash(A)  # Pinned: it stays.


async def trash_put_purge(caller: Caller) -> None:
    """It came back while it was in the trash; the purge is late."""
    await caller.put(A)
    await caller.purge(A)


async def pins(caller: Caller) -> None:
    await caller.have(A, "job-1")
    await caller.have(B, "job-1")
    await caller.have(A, "job-2")
    await caller.unpin("job-1")
    await caller.have(B, "job-3")
    await caller.trash(A)


async def two_and_pins(caller: Caller) -> None:
    await caller.put(A, "job-0")
    await caller.put(B, "job-0")


async def many_pins(caller: Caller) -> None:
    """So that opening finds a journal that is worth writing anew."""
    await caller.put(A, "job-0")
    await caller.put(B, "job-0")
    for number in range(8):
        await caller.have(A, f"job-{number}")
        await caller.unpin(f"job-{number}")
    await caller.have(A, "job-9")


async def put_over_damage(caller: Caller) -> None:
    await caller.verify(A)  # Finds it, and sets it aside.
    await caller.put(A, "job-1")
    await caller.read(A.id)


async def found_damaged(caller: Caller) -> None:
    await caller.put(B)
    await caller.put(A)


async def evidence_discarded(caller: Caller) -> None:
    await caller.verify(A)
    await caller.discard_evidence()
    await caller.put(C)


async def alone(caller: Caller) -> None:
    await caller.put(A)


async def alone_in_trash(caller: Caller) -> None:
    await put_and_trash(caller)


TWO = ("one", "two")
SCENES: Mapping[str, Scene] = {
    "one put": Scene(put),
    "one put past the page cache": Scene(put, direct=True),
    "three puts in one group": Scene(puts_at_once, slow_s=GROUPED_S),
    "one chunk put twice": Scene(put_twice),
    "one chunk put three times at once": Scene(put_twice_at_once, slow_s=GROUPED_S),
    "puts, an abort, a read": Scene(put_then_more),
    "put over trash": Scene(put_twice, before=alone_in_trash),
    "put over trash, then a late purge": Scene(trash_put_purge, before=alone_in_trash),
    "put over damage": Scene(put_over_damage, before=found_damaged, spoiled=True),
    "put over what was not checked for days": Scene(put_twice, before=alone, later_s=2 * DAY_S),
    "put and trash": Scene(put_and_trash),
    "put, trash, purge": Scene(put_trash_purge),
    "put, trash, revive, pin": Scene(put_trash_revive),
    "puts beside trash": Scene(put_beside_trash, before=alone, slow_s=2 * LATE_S),
    "puts beside trash, not checked for days": Scene(
        put_beside_trash, before=alone, later_s=2 * DAY_S, slow_s=2 * LATE_S
    ),
    "pins beside trash": Scene(pin_beside_trash, before=alone, slow_s=GROUPED_S),
    "pin and unpin": Scene(pins, before=two_and_pins),
    "a journal written anew": Scene(pins, before=many_pins, opening=True),
    "evidence discarded": Scene(evidence_discarded, before=found_damaged, spoiled=True),
    "two volumes": Scene(puts_at_once, volumes=TWO),
    "first opening": Scene(put, opening=True, created=False),
    "first opening of two volumes": Scene(puts_at_once, volumes=TWO, opening=True, created=False),
    "opening again": Scene(nothing, before=put_trash_revive, opening=True),
}
