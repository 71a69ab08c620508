"""What the council needs and nobody asks for: it is opened once, grows with the cluster, replaces
members that are gone, brings up members that missed something, and tells copies what a proposer who
died had decided.

Members do it, one at a time: the first that lives acts, the next one only when it does not.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from coordinator.council.registers import (
    NEXT_KEY,
    NO_BALLOT,
    Epoch,
    Install,
    Prepare,
    Refused,
    Seat,
)
from multicloud.errors import McError
from nodeagent.council.client import BallotCouncil
from nodeagent.council.copy import Copy
from nodeagent.council.founding import Founding
from nodeagent.council.member import Member
from nodeagent.council.proposing import Members, Proposer
from nodeagent.council.pulling import Pulling
from nodeagent.council.seats import Seats

_log = structlog.stdlib.get_logger(__name__)
LOOK_EVERY_S = 0.25
TURN_S = 3.0  # The next member acts when the one before it did not for so long.
FELLOWS_EVERY_S, FELLOWS_CALM_S = 1.0, 15.0
UNSETTLED_S = 2.0  # Accepted here and in no copy for so long: its proposer may have gone.


class Settings(Protocol):
    @property
    def settle_s(self) -> float: ...
    @property
    def found_after_s(self) -> float: ...
    @property
    def decide_s(self) -> float: ...
    @property
    def call_s(self) -> float: ...


@dataclass(slots=True)
class Tending:
    founding: Founding
    member: Member
    copy: Copy
    council: BallotCouncil
    proposer: Proposer
    members: Members
    pulling: Pulling
    seats: Seats
    settings: Callable[[], Settings]
    _begun_s: float = -1.0
    _wish: tuple[Seat, ...] | None = None
    _wished_s: float = 0.0
    _fellows_of: int = 0  # The epoch whose members were looked after last.
    _fellows_due_s: float = 0.0
    _touched_s: dict[str, float] = field(default_factory=dict)
    _said: str = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._begun_s = now_s if self._begun_s < 0 else self._begun_s
        try:
            self.copy.learn(self.member.epoch)
            epoch = self.copy.epoch
            if not epoch.number:
                await self._found(now_s)
                return
            if self.member.seat in epoch.members:
                await self._reseat(epoch, now_s)
                await self._look_after_fellows(epoch, now_s)
                await self._settle(now_s)
        except McError as error:
            if error.message != self._said:
                _log.warning("council_stands_still", why=error.message, next=error.next)
            self._said = error.message
        else:
            self._said = ""

    # -- The first epoch

    async def _found(self, now_s: float) -> None:
        seat = self.member.seat
        if seat is None or not self.member.may_found or self.pulling.epoch_heard:
            return
        if not self.founding.may(
            heard_anyone=self.pulling.heard_anyone,
            waited_s=now_s - self._begun_s,
            found_after_s=self.settings().found_after_s,
        ):
            return
        await self.member.answer(seat, Install(Epoch(1, (seat,)), {}))
        self.copy.learn(self.member.epoch)
        _log.info("council_founded", volume=seat.volume)

    # -- Other members

    async def _reseat(self, epoch: Epoch, now_s: float) -> None:
        wish = self.seats.better(epoch, now_s)
        if wish != self._wish:
            self._wish, self._wished_s = wish, now_s
        live = list(self.seats.live(epoch))
        if wish is None or self.member.seat not in live:
            return
        patience_s = self.settings().settle_s + TURN_S * live.index(self.member.seat)
        if now_s - self._wished_s >= patience_s:
            _log.info("council_changes", epoch=epoch.number, members=[s.node for s in wish])
            await self.proposer.change_members(epoch, wish, self.settings().decide_s)
            self._wish = None

    # -- Members that missed the beginning of an epoch

    async def _look_after_fellows(self, epoch: Epoch, now_s: float) -> None:
        """Whoever proposed this epoch may have died before all its members had heard of it."""
        fresh = epoch.number != self._fellows_of
        if self.member.epoch != epoch or (now_s < self._fellows_due_s and not fresh):
            return
        asked = [self._bring_up(seat, epoch) for seat in epoch.members if seat != self.member.seat]
        well = all(await asyncio.gather(*asked))
        self._fellows_of = epoch.number
        self._fellows_due_s = now_s + (FELLOWS_CALM_S if well else FELLOWS_EVERY_S)

    async def _bring_up(self, seat: Seat, epoch: Epoch) -> bool:
        """Gives it what lies here: decided things are found among the others, whatever it is."""
        call_s = self.settings().call_s
        try:
            # A ballot that every member refuses, and says where it stands.
            answer = await self.members.ask(seat, Prepare(NEXT_KEY, NO_BALLOT), call_s)
            if not isinstance(answer, Refused):
                return False
            if answer.epoch.number > epoch.number:
                self.copy.learn(answer.epoch)
            if answer.epoch.number >= epoch.number:
                return True
            carried = {k: a for k, a in self.member.accepted().items() if k != NEXT_KEY}
            await self.members.ask(seat, Install(epoch, carried), call_s)
        except McError:
            return False
        return True

    # -- Decisions that no copy has

    async def _settle(self, now_s: float) -> None:
        accepted = self.member.accepted()
        for key in sorted(self.member.touched):
            self._touched_s.setdefault(key, now_s)
        self.member.touched.clear()
        for key, since_s in list(self._touched_s.items()):
            here = accepted.get(key)
            known = self.copy.states.get(key)
            if (
                key == NEXT_KEY
                or here is None
                or here.state.version <= (known.version if known else 0)
            ):
                del self._touched_s[key]
            elif now_s - since_s >= UNSETTLED_S:
                await self.council.get(key)
                del self._touched_s[key]
