"""Counts what is asked of a store and how it ends, for stores that do not do so themselves."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from multicloud.errors import McError
from nodeagent.store.contract import Store
from nodeagent.store.observer import StoreObserver
from nodeagent.store.wrap.around import Around

T = TypeVar("T")


class Counted(Around):
    def __init__(
        self, inner: Store, observer: StoreObserver, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(inner)
        self._observer = observer
        self._clock = clock

    async def around(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        started_s, outcome = self._clock(), "OK"
        with self._observer.step(self._observer.trace(), f"store.{name}", volume=self.volume):
            try:
                return await call()
            except McError as error:
                outcome = error.reason
                raise
            finally:
                took_s = self._clock() - started_s
                self._observer.observe("mc.store.call", took_s, what=name, outcome=outcome)
