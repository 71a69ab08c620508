"""The nodes and links of a dev cluster, and everything that can be done to them."""

import asyncio
import random
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from mcctl.dev import ports
from mcctl.dev.daemon import Daemon, node_command
from mcctl.dev.folder import Folder
from mcctl.dev.issue import (
    LinkPorts,
    Member,
    issue_node,
    issue_operator,
    member,
    new_authority,
    write_config,
)
from mcctl.dev.layout import Place, find
from mcctl.dev.lines import leaf
from mcctl.dev.network import Network, Pair
from mcctl.dev.traces import NO_TRACES
from multicloud import regions
from multicloud.context import Context, Endpoint
from multicloud.errors import McError

Tell = Callable[[str], Awaitable[None]]
PORTS_PER_NODE = 3  # API, watch, HTTP
PORTS_PER_LINK = 2  # API, watch
DOWN_S_MAX = 5.0  # When all of it goes, nothing is worth a longer goodbye.


class Cluster:
    def __init__(
        self,
        folder: Folder,
        places: Sequence[Place],
        network: Network,
        *,
        wan: bool,
        traces: Mapping[str, str] = NO_TRACES,
        changed: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        command: Callable[[Path], list[str]] = node_command,
    ) -> None:
        self.folder = folder
        self.wan, self._traces = wan, traces
        self._places = places
        self._network = network
        self._changed = changed
        self._spawn = spawn
        self._command = command
        self._world = regions.load()
        self._held: list[socket.socket] = []
        self._turning: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.daemons: dict[str, Daemon] = {}

    async def build(self) -> Context:
        """Ports, links, identities, configurations; the context of its operator."""
        count = len(self._places)
        wanted = count * PORTS_PER_NODE + count * (count - 1) * PORTS_PER_LINK
        self._held = await asyncio.to_thread(ports.hold, wanted, random.Random())
        free = iter([ports.number(held) for held in self._held])
        members = [
            member(place, (next(free), next(free), next(free)), self.folder)
            for place in self._places
        ]
        links = self._lay_links(members, lambda: LinkPorts(next(free), next(free)))
        self._set_wan([*permutations((m.name for m in members), 2)])
        for node in members:
            self.daemons[node.name] = Daemon(node, self._command, self._ended, self._spawn)
        issuing = self._spawn(asyncio.to_thread(self._issue, members, links))
        try:
            return await asyncio.shield(issuing)
        except asyncio.CancelledError:
            await issuing  # A thread cannot be stopped, and must not write into a folder that goes.
            raise

    def _lay_links(
        self, members: Sequence[Member], next_ports: Callable[[], LinkPorts]
    ) -> dict[Pair, LinkPorts]:
        links: dict[Pair, LinkPorts] = {}
        for node in members:
            api = self._network.target(node.name, node.api_port)
            watch = self._network.target(node.name, node.watch_port)
            for source in members:
                if source is not node:
                    pair = (source.name, node.name)
                    links[pair] = found = next_ports()
                    self._network.link(*pair, found.api, api)
                    self._network.link(*pair, found.watch, watch)
        return links

    def _issue(self, members: Sequence[Member], links: dict[Pair, LinkPorts]) -> Context:
        authority, now = new_authority(self.folder), time.time()
        for index, node in enumerate(members):
            theirs = {peer.id: links[node.name, peer.name] for peer in members if peer is not node}
            join = [peer.address for peer in members if peer is not node]
            issue_node(authority, node, join=join, founder=index == 0, now_unix_s=now)
            write_config(self.folder.cluster, node, theirs, founder=index == 0, traces=self._traces)
        operator = issue_operator(authority, members, now)
        return Context(
            name=self.folder.cluster,
            cluster=operator.cluster,
            endpoints=tuple(Endpoint(e.id, e.name, e.address) for e in operator.endpoints),
            certificate_pem=operator.certificate_pem,
            key_pem=operator.key_pem,
            trust_json=(members[0].folder / "identity" / "trust.json").read_bytes(),
        )

    async def start_all(self, tell: Tell) -> None:
        """All at once; returns when each is ready."""

        async def start(daemon: Daemon) -> None:
            await daemon.start()
            self._changed()
            await daemon.ready()
            ready.append(daemon.node.name)
            await tell(f"{daemon.node.name} is ready ({len(ready)} of {len(self.daemons)})")

        ready: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                for daemon in self.daemons.values():
                    group.create_task(start(daemon))
        except BaseExceptionGroup as failed:
            raise leaf(failed) from failed

    async def stop_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for daemon in self.daemons.values():
                group.create_task(daemon.stop(DOWN_S_MAX))

    def release(self) -> None:
        for held in self._held:
            held.close()

    def find(self, word: str) -> list[Daemon]:
        return [self.daemons[place.name] for place in find(self._places, word)]

    async def node(self, do: str, name: str) -> dict[str, Any]:
        """`kill`, `stop`, `start`, `restart`, `wipe`, `pause` or `resume` a node."""
        daemon = self.daemons.get(name)
        if daemon is None:
            known = ", ".join(self.daemons)
            raise McError("NODE_UNKNOWN", f"there is no node {name!r} here", next=f"one of {known}")
        if do == "kill":
            await daemon.kill()
        elif do == "pause":
            daemon.pause()
        elif do == "resume":
            daemon.resume()
        else:
            async with self._turning[name]:
                await self._turn(do, daemon)
        return self.describe_node(daemon)

    async def _turn(self, do: str, daemon: Daemon) -> None:
        """`stop`, `start`, `restart` or `wipe`: one at a time for each node."""
        stopped = True
        if do in ("stop", "restart", "wipe"):
            stopped = await daemon.stop()
        if do == "wipe":
            await asyncio.to_thread(daemon.wipe)
        if do in ("start", "restart", "wipe"):
            await daemon.start()
            self._changed()
            await daemon.ready()
        if not stopped:
            raise McError("FAILED", f"{daemon.node.name} did not stop in time and was killed")

    def pairs(self, a: str, b: str | None, *, one_way: bool = False) -> list[Pair]:
        """From the nodes that `a` means to those that `b` means (None: all others), and back."""
        near = [daemon.node.name for daemon in self.find(a)]
        far = (
            [d.node.name for d in self.find(b)] if b else [n for n in self.daemons if n not in near]
        )
        there = [(x, y) for x in near for y in far if x != y]
        if not there:
            raise McError("USAGE", f"{a} and {b or 'the rest'}: no two nodes are between them")
        back = [] if one_way else [(y, x) for x, y in there]
        return list(dict.fromkeys([*there, *back]))

    async def cut(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        await self._network.cut(pairs)
        return self.describe_links(pairs)

    async def heal(self, pairs: Sequence[Pair] | None) -> list[dict[str, Any]]:
        """Everything between these nodes as it was at the start."""
        chosen = pairs if pairs is not None else list(self._network.paths)
        self._set_wan(chosen)
        await self._network.heal(chosen)
        return self.describe_links(chosen)

    def shape(self, pairs: Sequence[Pair], how: dict[str, Any]) -> list[dict[str, Any]]:
        """`delay_ms` (one way) and `mbit`, if they are given; then `stall` and `reset`."""
        delay_ms, mbit = how.get("delay_ms"), how.get("mbit")
        self._network.shape(
            pairs,
            None if delay_ms is None else delay_ms / 1000,
            None if mbit is None else mbit * 1e6 / 8,
        )
        if how.get("stall"):
            self._network.stall(pairs)
        if how.get("reset"):
            self._network.reset(pairs)
        return self.describe_links(pairs)

    def describe(self, context: str) -> dict[str, Any]:
        return {
            "name": self.folder.name,
            "context": context,
            "dashboard": None,
            "folder": str(self.folder.path),
            "wan": self.wan,
            "nodes": [self.describe_node(daemon) for daemon in self.daemons.values()],
            "links": self.describe_links(list(self._network.paths)),
        }

    def describe_node(self, daemon: Daemon) -> dict[str, Any]:
        node, place = daemon.node, daemon.node.place
        return {
            "name": node.name,
            "id": node.id,
            "cloud": place.cloud,
            "region": place.region,
            "zone": place.zone,
            "address": node.address,
            "watch": f"{ports.HOST}:{node.watch_port}",
            "http": f"{ports.HOST}:{node.http_port}",
            "pid": daemon.pid,
            "data_dir": str(node.state_dir),
            "config": str(node.config_file),
            "log": str(node.log),
            "state": daemon.state,
            "exit_code": daemon.exit_code,
        }

    def describe_links(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        found = []
        for pair in pairs:
            path = self._network.path(*pair)
            mbit = None if path.bytes_per_s is None else path.bytes_per_s * 8 / 1e6
            found.append(
                {
                    "from": pair[0],
                    "to": pair[1],
                    "delay_ms": round(path.delay_s * 1000, 3),
                    "mbit": mbit,
                    "cut": path.cut,
                    "stalled": self._network.stalled(pair),
                }
            )
        return found

    def _set_wan(self, pairs: Sequence[Pair]) -> None:
        """The delay of each direction is half of the round trip between the two regions."""
        places = {place.name: place for place in self._places}
        for a, b in pairs:
            rtt_ms = self._world.rtt_ms(places[a], places[b]) if self.wan else 0.0
            self._network.shape([(a, b)], rtt_ms / 2 / 1000, 0)

    async def _ended(self, name: str) -> None:
        await self._network.node_died(name)
        self._changed()
