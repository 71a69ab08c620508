"""What happens goes into the outbox: decisions from this node's copy of the registers, which is on
its disk, so that none is missed by a kill; the fate of nodes as this node sees it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coordinator.types import View
from nodeagent.council.contract import Council
from nodeagent.jobs.datasets.versions import VERSIONS
from nodeagent.jobs.header import JOBS
from nodeagent.ops.events import EventLog
from nodeagent.sinks.happened import Event, of_node, of_register, wanted
from nodeagent.sinks.outbox import Outbox

LOOK_EVERY_S = 0.3
TOLD_WITHIN_S = 7 * 86400.0  # What is older was told, or is no news.
FORGET_EVERY_S = 3600.0


@dataclass(slots=True)
class Collecting:
    council: Council
    happenings: EventLog
    view: Callable[[], View]
    outbox: Outbox
    sinks: Mapping[str, Sequence[str]]  # Name to the kinds that it wants.
    cluster: str
    clock_unix_s: Callable[[], float]
    _seen: dict[str, int] = field(default_factory=dict)
    _heard: int = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        loop, forget_s = asyncio.get_running_loop(), 0.0
        while True:
            await self.look()
            if loop.time() >= forget_s:
                before_ms = int((self.clock_unix_s() - 2 * TOLD_WITHIN_S) * 1000)
                await asyncio.to_thread(self.outbox.forget, before_ms)
                forget_s = loop.time() + FORGET_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        events = [*self._decided(), *self._of_nodes()]
        after_ms = (self.clock_unix_s() - TOLD_WITHIN_S) * 1000
        news = [one for one in events if one.unix_ms > after_ms]
        for sink, kinds in self.sinks.items():
            told = [one for one in news if wanted(one.kind, kinds)]
            if told:
                await asyncio.to_thread(self.outbox.put, sink, told, self.cluster)

    def _decided(self) -> list[Event]:
        found: list[Event] = []
        for prefix in (JOBS, VERSIONS):
            for register in self.council.list(prefix):
                if register.version > self._seen.get(register.key, 0):
                    self._seen[register.key] = register.version
                    found += of_register(register)
        return found

    def _of_nodes(self) -> list[Event]:
        found = []
        for told in self.happenings.since(self._heard):
            self._heard = told.sequence
            member = self.view().members.get(told.facts.get("id", ""))
            life = (member.record.generation, member.record.incarnation) if member else ()
            one = of_node(told, life)
            found += [one] if one else []
        return found
