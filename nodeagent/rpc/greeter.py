"""The asking side of the greeting: keeps every known peer greeted, finds out who is at an address,
and measures how far away each is.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import grpc

from identity.certificate import Holder
from multicloud.errors import McError
from multicloud.v1 import peer_pb2, peer_pb2_grpc
from nodeagent.rpc.exchange import Exchange
from nodeagent.rpc.roster import Peer

TURNS = 4  # What is news is told at once; the turns mend what was missed, within the 5 s promised.


class Links(Protocol):
    """How peers are reached."""

    async def who_is(self, address: str, timeout_s: float) -> Holder: ...
    def channel(self, node_id: str, address: str) -> grpc.aio.Channel: ...
    def explain(self, error: grpc.aio.AioRpcError, address: str) -> McError: ...


class Settings(Protocol):
    @property
    def greet_every_s(self) -> float: ...
    @property
    def greet_timeout_s(self) -> float: ...


@dataclass(slots=True)
class Greeter:
    links: Links
    exchange: Exchange
    settings: Callable[[], Settings]
    join: Callable[[], Iterable[str]]  # Addresses whose owner is not known yet.
    address_of: Callable[[Peer], str]  # Where a known peer is reached from here; "" if nowhere.
    targets: Callable[[], Iterable[Peer]]  # Neighbours, and whoever is not met yet.
    on_change: Callable[[Peer, str, str], object]  # Peer, what happened, why
    _owners: dict[str, str] = field(default_factory=dict)  # Address to node id
    _failures: dict[str, str] = field(default_factory=dict)  # Address to why nobody is there
    _busy: set[str] = field(default_factory=set)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def hurry(self) -> None:
        """There is something that everybody must know: all are greeted now."""
        self._hurry.set()

    async def run(self) -> None:
        """Greets until it is cancelled: a part of those who answer at each turn, all others too."""
        turn = 0
        async with asyncio.TaskGroup() as group:
            while True:
                turn += 1
                everyone = self._hurry.is_set()
                self._hurry.clear()
                for address in self.join():
                    if address not in self._owners:
                        self._start(group, f"join {address}", partial(self._find_out, address))
                for place, peer in enumerate(self.targets()):
                    if everyone or not self.reached(peer) or (place + turn) % TURNS == 0:
                        self._start(group, peer.id, partial(self.greet, peer))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.settings().greet_every_s):
                        await self._hurry.wait()

    def _start(
        self, group: asyncio.TaskGroup, key: str, work: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        if key not in self._busy:  # One at a time for each peer.
            self._busy.add(key)
            group.create_task(work()).add_done_callback(lambda _: self._busy.discard(key))

    @property
    def unanswered(self) -> dict[str, str]:
        """Configured addresses behind which no node was found, with the reason."""
        return {a: why for a, why in self._failures.items() if a in set(self.join())}

    async def again(self) -> None:
        """Greets those who did not answer last, so that what is said of them is of now."""
        silent = [peer for peer in self.exchange.roster.peers.values() if peer.failure]
        await asyncio.gather(*map(self.greet, silent))

    async def _find_out(self, address: str) -> None:
        try:
            holder = await self.links.who_is(address, self.settings().greet_timeout_s)
        except McError as error:
            self._failures[address] = error.message
            return
        self._failures.pop(address, None)
        node_id = holder.identity.name
        self._owners[address] = node_id
        if node_id != self.exchange.roster.own.id:
            peer = self.exchange.roster.peer(node_id)
            peer.address = peer.address or address

    @staticmethod
    def reached(peer: Peer) -> bool:
        """Whether the last greeting from here was answered."""
        return bool(peer.address) and not peer.failure and peer.greeted

    async def greet(self, peer: Peer) -> None:
        address = self.address_of(peer)
        if not address:
            return
        was_reached = self.reached(peer)
        try:
            await self._greet(peer, address)
        except grpc.aio.AioRpcError as error:
            self._failed(peer, self.links.explain(error, address), was_reached)
        except McError as error:
            self._failed(peer, error, was_reached)
        else:
            peer.failure, peer.greeted = "", True
            if not was_reached:
                self.on_change(peer, "peer_reached", "")

    def _failed(self, peer: Peer, error: McError, was_reached: bool) -> None:
        if was_reached or not peer.failure:
            self.on_change(peer, "peer_unreached", error.message)
        peer.failure = error.message

    async def _greet(self, peer: Peer, address: str) -> None:
        channel = self.links.channel(peer.id, address)
        connected = channel.get_state() is grpc.ChannelConnectivity.READY
        stub = peer_pb2_grpc.PeerServiceStub(channel)
        request = peer_pb2.GreetRequest(greeting=await self.exchange.compose(peer))
        sent_s, sent_unix_s = time.monotonic(), time.time()
        answer = await stub.Greet(request, timeout=self.settings().greet_timeout_s)
        took_s = time.monotonic() - sent_s
        await self.exchange.absorb(answer.greeting, peer.id)
        peer.address = address
        if connected:  # A call that had to connect first says nothing about the distance.
            peer.rtts_ms.append(took_s * 1000)
            theirs_ms = answer.greeting.clock_unix_ms
            peer.clock_offset_ms = theirs_ms - (sent_unix_s + took_s / 2) * 1000
