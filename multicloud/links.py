"""The way to the nodes for callers without an event loop; threads may share it, and processes fork.

gRPC does not survive a fork with calls under way. So just before one every link is closed, and
whoever reads, here or in the child, opens it again and goes on where it was.
"""

import asyncio
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc

from multicloud.channel import open_blocking_channel
from multicloud.client import CONNECT_TIMEOUT_S, endpoints
from multicloud.context import Context
from multicloud.dial import identified
from multicloud.errors import McError, Retry
from multicloud.status import decode
from multicloud.v1.read_pb2_grpc import DatasetServiceStub
from multicloud.whois import diagnose

if TYPE_CHECKING:
    from multicloud.v1.read_pb2_grpc import DatasetServiceStub as Stub

TRIES_MAX = 5  # In a row without a byte or an answer; each at another node where that may help.
WAIT_S_FIRST, WAIT_S_MAX = 0.1, 2.0
# Their cause may be over in a moment. gRPC's own word for a call that ended under a write is one.
PASSING = ("TOO_BUSY", "STARTING", "STALLED", "INTERNAL")

T = TypeVar("T")


class Link:
    """One channel at a time, to whichever node of the context answers."""

    def __init__(self, context: Context, nodes: tuple[str, ...] = ()) -> None:
        self._context = context
        self._order = deque(endpoints(context, nodes))
        self._channel: grpc.Channel | None = None
        self._stub: Stub | None = None
        self._lock = threading.RLock()
        self.generation = 0  # +1 whenever the channel is given up: its calls have ended.
        _links.add(self)

    def stub(self) -> "tuple[int, Stub]":
        with self._lock:
            if self._stub is None:
                self._channel = self._opened()
                self._stub = DatasetServiceStub(self._channel)
            return self.generation, self._stub

    def _opened(self) -> grpc.Channel:
        context, node = self._context, self._order[0]
        if not node.id:
            shown = identified(node, context.cluster, context.credentials, CONNECT_TIMEOUT_S)
            node = self._order[0] = _apart(shown)
        dns_name = f"{node.id}.node.{context.cluster}"
        return open_blocking_channel(
            node.address, dns_name, context.credentials, connect_s_min=CONNECT_TIMEOUT_S
        )

    def close(self) -> None:
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        channel, self._channel, self._stub = self._channel, None, None
        self.generation += 1
        if channel is not None:
            channel.close()

    def go_elsewhere(self, generation: int) -> None:
        """Unless somebody else has done so since."""
        with self._lock:
            if generation == self.generation:
                self._give_up()
                self._order.rotate(-1)

    def run(self, work: Callable[["Stub"], T]) -> T:
        """One call and its answer, again where that may help."""
        tries = Tries(self)
        while True:
            with tries:
                return work(tries.begin()[1])

    def explained(self, error: McError) -> McError:
        """Why a node is not reached, in more words than gRPC has."""
        if error.reason != "UNREACHABLE":
            return error
        with self._lock:
            context, node = self._context, self._order[0]
        if not node.id:
            return error
        dns_name = f"{node.id}.node.{context.cluster}"
        return _apart(diagnose(node.address, dns_name, context.credentials, CONNECT_TIMEOUT_S))

    def failed(self, error: McError, generation: int, tries: int) -> None:
        """Waits or goes elsewhere, if another try may help; else raises."""
        if generation != self.generation:
            return  # The channel was given up under the call: nothing is said about the node.
        again = error.row.retry is Retry.ELSEWHERE or error.reason in PASSING
        if not again or tries >= max(TRIES_MAX, len(self._order)):
            raise self.explained(error)
        if error.reason not in ("TOO_BUSY", "STARTING"):
            self.go_elsewhere(generation)
        if tries >= len(self._order) or error.reason in PASSING:
            wait_s = min(WAIT_S_MAX, WAIT_S_FIRST * 2**tries)
            time.sleep(max(wait_s, error.retry_after_s or 0.0))

    # -- Forks

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._give_up()

    def _after_fork_here(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()


class Tries:
    """`with` it around one try: what fails is judged, and the next one may begin."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._count = 0
        self._generation = 0

    def begin(self) -> "tuple[int, Stub]":
        self._generation = self._link.generation
        self._generation, stub = self._link.stub()
        return self._generation, stub

    def went_on(self) -> None:
        self._count = 0

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, grpc.RpcError):
            # It is the call as well, with all that `decode` reads of an AioRpcError.
            mapped = decode(cast(grpc.aio.AioRpcError, error))
        elif isinstance(error, McError):
            mapped = error
        else:  # A ValueError is gRPC's word for a channel that was closed in this very moment.
            return isinstance(error, ValueError) and self._generation != self._link.generation
        self._link.failed(mapped, self._generation, self._count)
        return True


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own: the caller's thread may run one already, as notebooks do."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


_links: "weakref.WeakSet[Link]" = weakref.WeakSet()
_held: list[Link] = []


def _before() -> None:
    _held[:] = list(_links)
    for link in _held:
        link._before_fork()


def _after(then: Callable[[Link], None]) -> None:
    for link in _held:
        then(link)
    _held.clear()


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(Link._after_fork_here),
    after_in_child=lambda: _after(Link._after_fork_in_child),
)
