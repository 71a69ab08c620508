"""InsightService, as far as it tells how a node gets on with its peers and endpoints: whom it
leaves alone and why, what it sends them, how many tries anew it still may make.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from multicloud.v1 import insight_pb2
from nodeagent.core.breaker import Breaker, Breakers, RetryBudget
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call
from nodeagent.wire.usage import Use

LINKS_MAX = 1024


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What tries anew, out of which budget, and why just now."""

    what: str
    budget: RetryBudget
    waits: str = ""


class Endpoint(Protocol):
    """Of a cloud, as its turns know it."""

    @property
    def whom(self) -> str: ...
    @property
    def breaker(self) -> Breaker: ...
    @property
    def budget(self) -> RetryBudget: ...


@dataclass(frozen=True, slots=True)
class LinkInsight:
    passing: Passing
    clock_s: Callable[[], float]
    breakers: Breakers  # Of peers.
    usage: Callable[[], Mapping[str, Use]]
    endpoints: Callable[[], Iterable[Endpoint]]
    sources: Callable[[], Iterable[Budgeted]]

    async def get_links(
        self, request: insight_pb2.GetLinksRequest, call: Call
    ) -> insight_pb2.GetLinksResponse:
        passed = await self.passing.answer(request, insight_pb2.GetLinksResponse, call)
        if passed is not None:
            assert isinstance(passed, insight_pb2.GetLinksResponse)
            return passed
        links = [self._link(peer, self.breakers.of.get(peer)) for peer in self._peers()]
        links += [self._link(one.whom, one.breaker) for one in self.endpoints()]
        return insight_pb2.GetLinksResponse(
            links=links[:LINKS_MAX], budgets=[_told(one) for one in self._budgets()]
        )

    def _peers(self) -> list[str]:
        return sorted({*self.usage(), *self.breakers.of})

    def _budgets(self) -> list[Budgeted]:
        clouds = [Budgeted(one.whom, one.budget) for one in self.endpoints()]
        return [*self.sources(), *clouds]

    def _link(self, peer: str, breaker: Breaker | None) -> insight_pb2.LinkState:
        now_s = self.clock_s()
        breaker = breaker or Breaker()
        use = self.usage().get(peer, Use())
        return insight_pb2.LinkState(
            peer=peer,
            breaker=breaker.state(now_s).value,
            why=breaker.why,
            again_s=breaker.again_s(now_s),
            bytes_out=use.bytes,
            seconds=use.seconds,
            waited_s=use.waited_s,
        )

    # --- for metrics, from another thread

    def by_state(self) -> dict[tuple[str, ...], float]:
        now_s = self.clock_s()
        states = Counter(state.value for state in self.breakers.states(now_s).values())
        states.update(one.breaker.state(now_s).value for one in list(self.endpoints()))
        return {(state,): float(count) for state, count in states.items()}

    def refused(self) -> dict[tuple[str, ...], float]:
        """Tries anew that no budget allowed."""
        return {(): float(sum(one.budget.refused for one in self._budgets()))}


def _told(one: Budgeted) -> insight_pb2.RetryBudgetState:
    return insight_pb2.RetryBudgetState(
        what=one.what,
        tokens=one.budget.tokens,
        most=one.budget.most,
        retries=one.budget.retries,
        refused=one.budget.refused,
        waits=one.waits,
    )
