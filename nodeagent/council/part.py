"""The council's part of a node, joined: member, copy, client, and what keeps them going."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol
from uuid import uuid4

import grpc

from coordinator.council.registers import Answer, Request, Seat
from coordinator.types import NodeId, View
from multicloud.errors import McError
from multicloud.v1 import peer_pb2
from nodeagent.config.model import Council as Settings
from nodeagent.council.calls import Calls
from nodeagent.council.client import BallotCouncil
from nodeagent.council.contract import Council
from nodeagent.council.copy import Copy
from nodeagent.council.founding import Founding
from nodeagent.council.member import Member
from nodeagent.council.proposing import Proposer, Watcher
from nodeagent.council.pulling import Pulling
from nodeagent.council.seats import Seats
from nodeagent.council.service import CouncilService
from nodeagent.council.tending import LOOK_EVERY_S, Tending

FOLDER = "council"


class World(Protocol):
    """The node as the council sees it."""

    def view(self) -> View: ...
    def council_volume_of(self, node: NodeId) -> str: ...
    def name_of(self, node: NodeId) -> str: ...
    def channel_to(self, node: NodeId) -> grpc.aio.Channel:
        """UNREACHABLE when no way is known."""
        ...

    def explain_call(self, error: grpc.aio.AioRpcError, node: NodeId) -> McError: ...
    def greet_all(self) -> None: ...
    def say_volume(self, volume: str) -> None:
        """Under which this node could sit in the council; empty when it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    node: NodeId
    folder: Path  # The node's state.
    founding: Founding
    first_start: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What the council's part of a node has on disk."""

    member: Member
    copy: Copy


def kept_by(identity: Identity) -> Kept:
    folder = identity.folder / FOLDER
    first = identity.first_start
    member = Member.open(folder, identity.node, first_start=first, new_volume=_uuid)
    return Kept(member, Copy.open(folder, _uuid))


class CouncilPart:
    def __init__(
        self,
        identity: Identity,
        kept: Kept,
        world: World,
        settings: Callable[[], Settings],
        watcher: Watcher,
        on_change: Callable[[str], None],
        rng: Random,
    ) -> None:
        self.world, self._on_change = world, on_change
        self.member, self.copy = kept.member, kept.copy
        self._calls = Calls(world.channel_to, world.explain_call)
        self._group: asyncio.TaskGroup | None = None
        self.seats = Seats(world.view, self.volume_of, lambda: settings().replace_after_s)
        self.proposer = Proposer(
            name=f"{identity.node}/{rng.getrandbits(128):032x}",
            members=self,
            known=self.copy,
            spawn=self._spawn,
            running=lambda: self._group is not None,
            name_of=world.name_of,
            call_s=lambda: settings().call_s,
            rng=rng,
            watcher=watcher,
        )
        ballots = BallotCouncil(self.proposer, self.copy, lambda: settings().decide_s)
        self.council: Council = ballots
        self.service = CouncilService(self.member, self.copy)
        self.pulling = Pulling(self.copy, self._calls, self._spawn, world.greet_all)
        self._node, self._settings = identity.node, settings
        self._tending = Tending(
            founding=identity.founding,
            member=self.member,
            copy=self.copy,
            council=ballots,
            proposer=self.proposer,
            members=self,
            pulling=self.pulling,
            seats=self.seats,
            settings=settings,
        )

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for work in (
                    self.pulling.run(),
                    self._tending.run(),
                    self._tell_changes(),
                    self._tell_volume(),
                ):
                    group.create_task(work)
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    async def close(self) -> None:
        await asyncio.to_thread(self.member.close)
        await asyncio.to_thread(self.copy.close)

    async def ask(self, seat: Seat, request: Request, timeout_s: float) -> Answer:
        """Any member, this node itself among them."""
        if seat.node == self._node:
            return await self.member.answer(seat, request)
        return await self._calls.ask(seat, request, timeout_s)

    def digest(self) -> peer_pb2.CopyDigest:
        """For greetings."""
        return self.copy.digest()

    def heard(self, node: NodeId, digest: peer_pb2.CopyDigest) -> None:
        """What a greeting brought."""
        if self._group is not None and node != self._node:
            self.pulling.heard(node, digest)

    async def hand_over(self, node: NodeId) -> None:
        """The council goes on without a member that is about to be removed."""
        end_s = asyncio.get_running_loop().time() + self._settings().decide_s
        while True:
            epoch = self.copy.epoch
            if all(seat.node != node for seat in epoch.members):
                return
            now_s = asyncio.get_running_loop().time()
            others = self.seats.without(epoch, node, now_s)
            if not others:
                name = self.world.name_of(node)
                said = f"{name} holds the council alone, and no other node is there"
                remedy = "start another node first; it takes the seat over"
                raise McError("FAILED", said, next=remedy)
            # Somebody else's wish may be carried out instead, and seat the node again.
            await self.proposer.change_members(epoch, others, max(0.0, end_s - now_s))

    def volume_of(self, node: NodeId) -> str:
        if node == self._node:
            return self.member.seat.volume if self.member.seat else ""
        return self.world.council_volume_of(node)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            raise McError("DRAINING", "this node is going down and decides nothing more")
        self._group.create_task(work)

    async def _tell_volume(self) -> None:
        told = ""
        while True:
            volume = self.volume_of(self._node)
            if volume != told:
                told = volume
                self.world.say_volume(volume)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell_changes(self) -> None:
        told = self.copy.epoch.number
        async for _ in self.copy.changes():
            epoch = self.copy.epoch
            if epoch.number != told:
                told = epoch.number
                names = ", ".join(sorted(self.world.name_of(s.node) for s in epoch.members))
                self._on_change(f"epoch {epoch.number}: {names}")


def _uuid() -> str:
    return uuid4().hex
