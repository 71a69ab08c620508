"""The watch: a thread and an event loop of its own with the server on port 7444, so that it never
waits behind bulk bytes.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import grpc

from nodeagent.ops.heartbeat import Heartbeat

START_S_MAX = 5.0
STOP_S_MAX = 5.0
STOP_GRACE_S = 0.2


@dataclass(slots=True)
class WatchThread:
    """`serve` makes the server and whatever else lives in the watch's loop."""

    serve: Callable[[asyncio.TaskGroup], Awaitable[grpc.aio.Server]]
    heartbeat: Heartbeat = field(default_factory=lambda: Heartbeat("watch"))
    _started: "Future[None]" = field(default_factory=Future)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns when it listens; raises what kept it from that."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        self._started.result(START_S_MAX)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
                return
            raise  # The heartbeat stands still from now on, and the watchdog sees it.

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                server = await self.serve(group)
                await server.start()
                group.create_task(self.heartbeat.run())
                self._started.set_result(None)
                await self._stop.wait()
                await server.stop(STOP_GRACE_S)
                raise _Stopped  # Ends the rest of the group.
        except* _Stopped:
            pass

    def stop(self) -> None:
        """Blocks until the thread has ended."""
        if self._loop and self._stop and self._thread:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_S_MAX)


class _Stopped(Exception):
    """The watch is asked to end."""
