"""An event loop on the world's time, one for each process: it stands still when its process is
paused, and nothing of it runs any more once that is dead.
"""

import asyncio
import inspect
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from itertools import count
from typing import Any

from tests.sim.hosts import Host
from tests.sim.world import World

BORN = inspect.CORO_CREATED
TRIES = 20  # A task that awaits while it is cancelled is cancelled again.


class OrderedTask(asyncio.Task[Any]):
    """Sets of tasks are walked in the order of their making, the same in every run."""

    def __init__(self, *args: Any, loop: "Loop", **kwargs: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(*args, loop=loop, **kwargs)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class Loop(asyncio.AbstractEventLoop):
    def __init__(self, world: World, host: Host) -> None:
        self.world, self.host = world, host
        self.dead = False
        self.broken: list[str] = []  # What nobody caught.
        self.steps = 0
        self.numbers = count()
        self._ready: deque[asyncio.Handle] = deque()
        self._due = False
        self._tasks: list[OrderedTask] = []

    # --- time

    def time(self) -> float:
        return self.host.clock_s(self.world.now_s)

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._ready.append(handle)
            self._wake()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.dead:
            at_s = max(self.world.now_s, self.host.world_s(when))
            self.world.later(at_s, (self._fires, timer, None))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the world's heap, and does nothing there."""

    def _fires(self, timer: asyncio.TimerHandle, _: None) -> None:
        if self.dead or timer.cancelled():
            return
        if self.host.paused_until_s > self.world.now_s:
            self.host.inbox.append((self._fires, timer, None))
            return
        self._ready.append(timer)
        self._run(None, None)

    def _wake(self) -> None:
        if not self._due:
            self._due = True
            self.world.later(self.world.now_s, (self._run, None, None))

    def _run(self, _x: None, _y: None) -> None:
        self._due = False
        if self.dead:
            return
        if self.host.paused_until_s > self.world.now_s:
            self._due = True
            self.host.inbox.append((self._run, None, None))
            return
        asyncio._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        try:
            while self._ready and not self.dead:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    self.steps += 1
                    handle._run()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    @contextmanager
    def within(self) -> Iterator[None]:
        """For a question from outside, about what runs here."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _close_generator(self, generator: Any) -> None:
        if not self.dead:
            self.create_task(generator.aclose())

    # --- tasks

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> OrderedTask:
        if self.dead and inspect.iscoroutine(coro):
            coro.close()
        task = OrderedTask(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        if len(self._tasks) > 4096:
            self._tasks = [one for one in self._tasks if not one.done()]
        return task

    def spawn(self, work: Coroutine[Any, Any, Any]) -> OrderedTask:
        """It belongs to the process, and dies with it."""
        return self.create_task(work)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """A thread that is done at once."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - As a thread hands it over.
            future.set_exception(error)
        return future

    # --- its end

    def die(self) -> None:
        """kill -9: no cleaning up, no last words."""
        self.dead = True
        self._ready.clear()

    def bury(self) -> None:
        """When the life is over: whatever hung in the air is cancelled, out of the world's time."""
        self.dead = False
        self.host.paused_until_s = 0.0
        for _ in range(TRIES):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                coroutine = task.get_coro()
                if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == BORN:
                    coroutine.close()  # Its first step died with the process.
                task.cancel()
            self._run(None, None)
        self.dead = True
        self._tasks.clear()

    # --- what asyncio asks of a loop

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self.dead and error is not None:
            self.broken.append(f"{self.host.name}: {context.get('message')}: {error!r}")
