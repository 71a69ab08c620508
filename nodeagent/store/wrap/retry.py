"""Tries again what may do better at the same place, with jitter and an end.

The bytes of a put are never sent twice by it: only whoever has them can begin a put anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from multicloud.errors import McError, Retry
from nodeagent.core.backoff import delay_s
from nodeagent.store.contract import Store
from nodeagent.store.wrap.around import Around

T = TypeVar("T")
TRIES_MAX = 4
BASE_S, DELAY_S_MAX = 0.05, 2.0
_ONCE = ("write", "commit")


class Retrying(Around):
    def __init__(
        self,
        inner: Store,
        *,
        rng: Random,
        tries_max: int = TRIES_MAX,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(inner)
        self._rng = rng
        self._tries_max = tries_max
        self._sleep = sleep

    async def around(self, name: str, call: Callable[[], Awaitable[T]], size_bytes: int = 0) -> T:
        if name in _ONCE:
            return await call()
        attempt = 1
        while True:
            try:
                return await call()
            except McError as error:
                # A pin does not end by waiting here; its holder decides.
                hopeless = error.row.retry is not Retry.HERE or error.reason == "PINNED"
                if hopeless or attempt >= self._tries_max:
                    raise
                wait_s = delay_s(attempt, self._rng, base_s=BASE_S, delay_s_max=DELAY_S_MAX)
                await self._sleep(max(wait_s, error.retry_after_s or 0.0))
            attempt += 1
