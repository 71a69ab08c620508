"""Has things decided: asks the members in rounds until a majority took it, or time is up.

Whoever decides finishes what others have begun: a ballot of somebody who went, and a change of
members that stands in the way. Each round outranks what it met, after a pause that chance chooses.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from coordinator.council.ballots import Blocked, Change, Decided, Moved, Sent, Try
from coordinator.council.registers import (
    NEXT_KEY,
    Answer,
    Ballot,
    Epoch,
    Request,
    Seat,
    members_of,
    members_value,
)
from coordinator.council.succession import Succession
from multicloud.errors import McError

PAUSE_S, PAUSE_S_MAX = 0.02, 1.0
LOOK_S = 0.05


class Members(Protocol):
    """How a member is asked, this node itself among them."""

    async def ask(self, seat: Seat, request: Request, timeout_s: float) -> Answer: ...


class Known(Protocol):
    """Who the members are, as this node knows."""

    @property
    def epoch(self) -> Epoch: ...
    def learn(self, epoch: Epoch) -> bool: ...


class Watcher(Protocol):
    """Telemetry as the council uses it."""

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


Spawn = Callable[[Coroutine[Any, Any, None]], object]
Silent = Mapping[Seat, McError]  # Members that gave no answer, and why.


@dataclass(slots=True)
class Proposer:
    name: str  # Of this process and of no other ever: its ballots are its own.
    members: Members
    known: Known
    spawn: Spawn
    running: Callable[[], bool]  # Whether anything can be spawned yet.
    name_of: Callable[[str], str]
    call_s: Callable[[], float]
    rng: Random
    watcher: Watcher
    _round: int = field(default=0)

    async def decide(self, change: Change, within_s: float) -> Decided:
        """NO_MAJORITY when too few members answer, DEADLINE when others were always faster."""
        clock_s = asyncio.get_running_loop().time
        begun_s = clock_s()
        end_s = begun_s + within_s
        epoch = await self._some_epoch(end_s)
        pauses = 0
        while True:
            asked_s = clock_s()
            outcome, silent = await self._try(epoch, change)
            if isinstance(outcome, Decided):
                self.watcher.observe("mc.council.decision.duration", clock_s() - begun_s)
                return outcome
            if clock_s() >= end_s:
                raise self._undecided(change, epoch, silent)
            if isinstance(outcome, Blocked) and outcome.sealed and change.key != NEXT_KEY:
                await self._finish(epoch, end_s)
            elif isinstance(outcome, Blocked):
                pauses += 1
                await self._pause(pauses, clock_s() - asked_s, end_s)
            epoch = self.known.epoch

    async def change_members(self, epoch: Epoch, wanted: tuple[Seat, ...], within_s: float) -> None:
        """From that epoch on to the next; whose wish was decided first is carried out."""
        end_s = asyncio.get_running_loop().time() + within_s
        wish = f"{self.name[-32:]}-{self._round}"
        change = Change(NEXT_KEY, 0, members_value(wanted), wish)
        await self._succeed(epoch, change, end_s)

    # -- One change of members

    async def _finish(self, epoch: Epoch, end_s: float) -> None:
        """What somebody else decided on and sealed for."""
        await self._succeed(epoch, Change(NEXT_KEY), end_s)

    async def _succeed(self, epoch: Epoch, change: Change, end_s: float) -> None:
        clock_s = asyncio.get_running_loop().time
        pauses = 0
        silent: Silent = {}
        succession: Succession | None = None
        while self.known.epoch == epoch:
            if succession is None:
                outcome, silent = await self._try(epoch, change)
                if isinstance(outcome, Decided):
                    if not outcome.state.version:
                        return  # Nobody has decided on other members.
                    succession = Succession(epoch, members_of(outcome.state.value))
                    continue
            else:
                succession = Succession(epoch, succession.members)
                silent = await self._converse(succession)
                if succession.outcome is not None:
                    self.known.learn(succession.outcome.epoch)
                    return
            if clock_s() >= end_s:
                raise self._undecided(change, epoch, silent)
            pauses += 1
            await self._pause(pauses, PAUSE_S, end_s)

    # -- One try

    async def _try(self, epoch: Epoch, change: Change) -> tuple[Decided | Blocked | Moved, Silent]:
        self._round += 1
        attempt = Try(epoch, change, Ballot(epoch.number, self._round, self.name))
        silent = await self._converse(attempt)
        outcome = attempt.outcome or attempt.given_up()
        match outcome:
            case Decided():
                self.watcher.count("mc.council.ballots", outcome="decided")
            case Blocked(round=round_):
                self.watcher.count("mc.council.ballots", outcome="silent" if silent else "conflict")
                self._round = max(self._round, round_)
            case Moved(epoch=newer):
                self.watcher.count("mc.council.ballots", outcome="moved")
                self.known.learn(newer)
        return outcome, silent

    async def _converse(self, talk: Try | Succession) -> dict[Seat, McError]:
        """Until it has ended, or nobody is left who could answer. Who did not, and why."""
        heard: asyncio.Queue[tuple[Seat, Answer | McError]] = asyncio.Queue()
        silent: dict[Seat, McError] = {}
        open_ = 0

        async def ask(seat: Seat, request: Request) -> None:
            try:
                answer: Answer | McError = await self.members.ask(seat, request, self.call_s())
            except McError as error:
                answer = error
            except asyncio.CancelledError:
                heard.put_nowait((seat, McError("DRAINING", "this node is going down")))
                raise
            heard.put_nowait((seat, answer))

        def send(asked: list[Sent]) -> int:
            for seat, request in asked:
                self.spawn(ask(seat, request))
            return len(asked)

        open_ += send(talk.begin())
        while open_ and talk.outcome is None:
            seat, answer = await heard.get()
            open_ -= 1
            if isinstance(answer, McError):
                silent[seat] = answer
                continue
            open_ += send(talk.heard(seat, answer))
        return silent

    # -- Waiting, and giving up

    async def _some_epoch(self, end_s: float) -> Epoch:
        while not (self.known.epoch.number and self.running()):
            if asyncio.get_running_loop().time() >= end_s:
                raise McError(
                    "NO_MAJORITY",
                    "nothing can be decided here: this node has not heard of a council yet",
                    next="join.peers must lead to a node of the cluster; in a new cluster, start "
                    "the node that was issued first: it opens the council",
                )
            await asyncio.sleep(LOOK_S)
        return self.known.epoch

    async def _pause(self, count: int, took_s: float, end_s: float) -> None:
        """The longer a try takes, the longer it needs to be alone."""
        most_s = min(max(took_s, PAUSE_S) * 2 ** min(count, 16), PAUSE_S_MAX)
        left_s = max(0.0, end_s - asyncio.get_running_loop().time())
        await asyncio.sleep(min(self.rng.uniform(0, most_s), left_s))

    def _undecided(self, change: Change, epoch: Epoch, silent: Silent) -> McError:
        what = "its members" if change.key == NEXT_KEY else change.key
        count, missing = len(epoch.members), len(silent)
        if count - missing >= epoch.majority:
            said = f"{what} was not decided in time: others decide about it at the same moment"
            return McError("DEADLINE", said, next="try again; the same request is not done twice")
        who = "; ".join(
            f"{self.name_of(seat.node)} ({error.message})" for seat, error in sorted(silent.items())
        )
        said = (
            f"{what} cannot be decided here: {epoch.majority} of the council's {count} members "
            f"are needed, and {missing} did not answer: {who}"
        )
        names = ", ".join(sorted(self.name_of(seat.node) for seat in silent))
        remedy = f"start {names}, or mend the way to them; reading, listing and storing go on"
        return McError("NO_MAJORITY", said, facts={"missing": names}, next=remedy)
