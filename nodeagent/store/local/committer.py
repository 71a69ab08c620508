"""The one thread of a volume that changes names: it takes all that waits, commits it together, and
wakes the loop once for all answers. In between it looks after the volume.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

from multicloud.errors import McError
from nodeagent.store.contract import Held
from nodeagent.store.local.blame import words
from nodeagent.store.local.commit import Work, commit
from nodeagent.store.local.identity import check_same
from nodeagent.store.local.volume import Volume

BATCH_MAX = 256
INDEX_WAITING_MAX = 4096
Done = Callable[[Work], None]


class Committer:
    def __init__(
        self,
        volume: Volume,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Held, str], None],
        look_every_s: float,
    ) -> None:
        self._volume = volume
        self._loop = loop
        self._tell = tell
        self._look_every_s = look_every_s
        self._looked_s = monotonic()
        self._queue: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._held_back: tuple[Work, Done] | None = None  # The first of the next batch.
        self._thread = Thread(target=self._run, name=f"commit-{volume.uuid[:8]}", daemon=True)
        self._thread.start()

    def submit(self, work: Work, done: Done) -> None:
        """From any thread; `done` is called in the loop."""
        self._queue.put((work, done))

    async def do(self, work: Work) -> Any:
        """Its result. Whoever is cancelled meanwhile leaves it to be done."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def done(work: Work) -> None:
            if answer.done():
                return
            if work.error is not None:
                answer.set_exception(work.error)
            else:
                answer.set_result(work.result)

        self.submit(work, done)
        return await answer

    def stop(self) -> None:
        """After all that was asked before."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._turn():
            if monotonic() - self._looked_s >= self._look_every_s:
                self._look()
            volume = self._volume
            if self._queue.empty() or volume.index.waiting > INDEX_WAITING_MAX:
                volume.index.flush()
            if volume.journal.is_long and volume.condition.is_writable:
                self._shorten()

    def _turn(self) -> bool:
        """Takes what waits and commits it. False after the end."""
        asked = self._gather()
        going = [one for one in asked if one is not None]
        if going:
            works = [work for work, _ in going]
            try:
                commit(self._volume, works)
            except Exception as error:  # noqa: BLE001 - a defect here must hang nobody
                self._volume.condition.fail(f"a defect: {error!r}")
                for work in works:
                    work.error = McError("INTERNAL", f"the volume's commit failed: {error!r}")
            self._loop.call_soon_threadsafe(self._answer, going)
        return len(going) == len(asked)

    def _gather(self) -> list[tuple[Work, Done] | None]:
        """What waits, up to a work about a chunk that is unsettled until this batch ends."""
        asked, unsettled = [self._held_back], set[bytes]()
        try:
            if self._held_back is None:
                asked = [self._queue.get(timeout=self._look_every_s)]
        except Empty:
            return []
        self._held_back = None
        while len(asked) < BATCH_MAX and not self._queue.empty():
            if (before := asked[-1]) is not None:
                unsettled |= before[0].unsettled
            following = self._queue.get()
            if following is not None and following[0].chunks & unsettled:
                self._held_back = following
                break
            asked.append(following)
        return asked

    def _answer(self, going: Sequence[tuple[Work, Done]]) -> None:
        for work, done in going:
            for held, why in work.told:
                self._tell(held, why)
            done(work)

    def _look(self) -> None:
        """Whether it is still that volume, and how much room it has."""
        self._looked_s = monotonic()
        volume = self._volume
        volume.condition.look()
        try:
            fault = check_same(volume.files, volume.paths, volume.uuid, volume.device)
        except OSError as error:
            fault = f"its identity cannot be read: {words(error)}"
        if fault:
            volume.condition.fail(fault)

    def _shorten(self) -> None:
        volume = self._volume
        volume.pins.forget_over(volume.clock())
        try:
            volume.journal.rewrite(volume.pins)
        except OSError as error:
            volume.condition.fail(f"the journal of pins cannot be rewritten: {words(error)}")
