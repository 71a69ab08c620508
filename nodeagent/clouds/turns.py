"""When a request to a cloud is made, and whether again: pace, places, retries, breaker, telemetry.

One `Endpoint` is shared by its buckets; each bucket has its own pace.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from multicloud.errors import McError
from nodeagent.core.backoff import delay_s
from nodeagent.core.breaker import Breaker, BreakerSettings, RetryBudget
from nodeagent.core.request_rate import RequestRate

T = TypeVar("T")
BASE_S, DELAY_S_MAX = 0.1, 10.0
WAIT_S_MIN = 0.001  # Less than that a clock may not even show.
PATIENCE_S = 30.0  # Who is told to wait longer tells its caller, who may have other things to do.
DAMAGES_MAX = 2  # Bytes that come wrong three times are no accident of the line.
BUDGET = 100.0
_AGAIN = ("TOO_BUSY", "UNREACHABLE", "STALLED", "DAMAGE")
_DOWN = ("UNREACHABLE", "STALLED")


class Watcher(Protocol):
    """Telemetry as requests to clouds use it."""

    def span(
        self, name: str, *, parent: str | None = None, **facts: Any
    ) -> AbstractContextManager[Any]: ...
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Unwatched:
    def span(
        self, name: str, *, parent: str | None = None, **facts: Any
    ) -> AbstractContextManager[Any]:
        return nullcontext()

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


@dataclass(slots=True)
class Surroundings:
    """Clock and chance, passed in."""

    clock_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: Random = field(default_factory=Random)
    watcher: Watcher = field(default_factory=Unwatched)


@dataclass(slots=True)
class EndpointState:
    """What the buckets of an endpoint share."""

    whom: str
    label: str  # For metrics.
    places: asyncio.Semaphore
    breaker: Breaker = field(default_factory=lambda: Breaker(BreakerSettings(failures=5)))
    budget: RetryBudget = field(default_factory=lambda: RetryBudget(most=BUDGET, tokens=BUDGET))


class PacedTurns:
    def __init__(
        self,
        endpoint: EndpointState,
        surroundings: Surroundings,
        requests_per_s_max: Callable[[], float],
        tries_max: Callable[[], int],
    ) -> None:
        self._endpoint = endpoint
        self._world = surroundings
        self._most_per_s = requests_per_s_max
        self._tries_max = tries_max
        self.rate = RequestRate.begin(requests_per_s_max(), surroundings.clock_s())

    async def take(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        attempt = damages = 0
        while True:
            try:
                return await self._once(name, call, size_bytes)
            except McError as error:
                attempt += 1
                damages += error.reason == "DAMAGE"
                if attempt >= self._tries_max() or not self._pays(error, damages):
                    raise
                self._world.watcher.count(
                    "mc.cloud.tries", endpoint=self._endpoint.label, reason=error.reason
                )
                drawn_s = delay_s(attempt, self._world.rng, base_s=BASE_S, delay_s_max=DELAY_S_MAX)
                await self._world.sleep(drawn_s + (error.retry_after_s or 0.0))

    def _pays(self, error: McError, damages: int) -> bool:
        """Whether one more try is worth it, and still allowed."""
        return (
            error.reason in _AGAIN
            and damages <= DAMAGES_MAX
            and (error.retry_after_s or 0.0) <= PATIENCE_S
            and self._endpoint.budget.take()
        )

    async def _once(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int) -> T:
        world, endpoint = self._world, self._endpoint
        self.rate.limit(self._most_per_s(), world.clock_s())
        while (wait_s := self.rate.wait_s(world.clock_s())) > 0:
            await world.sleep(max(wait_s, WAIT_S_MIN))
        async with endpoint.places:
            self._let_through()
            begun_s = world.clock_s()
            outcome = "FAILED"  # Whatever else leaves the block, as a cancellation does.
            try:
                with world.watcher.span("cloud.request", request=name, endpoint=endpoint.label):
                    done = await call()
                outcome = "ok"
            except McError as error:
                outcome = error.reason
                self._failed(error)
                raise
            finally:
                took_s = world.clock_s() - begun_s
                labels = {"what": name, "endpoint": endpoint.label, "outcome": outcome}
                world.watcher.observe("mc.cloud.request.duration", took_s, **labels)
        self._served(name, size_bytes)
        return done

    def _let_through(self) -> None:
        now_s = self._world.clock_s()
        breaker = self._endpoint.breaker
        if not breaker.allows(now_s):
            what = f"{self._endpoint.whom} is left alone for a moment: {breaker.why}"
            raise McError("UNREACHABLE", what)
        breaker.tries(now_s)

    def _failed(self, error: McError) -> None:
        now_s = self._world.clock_s()
        if error.reason == "TOO_BUSY":
            self.rate.refused(now_s)
        if error.reason in _DOWN:
            self._endpoint.breaker.failed(error.message, now_s, self._world.rng)
        else:
            self._endpoint.breaker.succeeded()  # It answered.

    def _served(self, name: str, size_bytes: int) -> None:
        self._endpoint.breaker.succeeded()
        self._endpoint.budget.succeeded()
        self.rate.served(self._world.clock_s())
        if size_bytes:
            direction = "receive" if name.startswith("Get") else "transmit"
            self._world.watcher.count(
                "mc.cloud.bytes", size_bytes, endpoint=self._endpoint.label, direction=direction
            )
