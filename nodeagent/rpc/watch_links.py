"""The asking side of the watch: a stream to every subject, dialled again and again, and single
words to whom no stream leads. Lives in the watch's loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import grpc

from coordinator.events import Event, Received, WatchBroke, WatchOpened
from coordinator.messages import Answer, Message
from coordinator.types import NodeId
from identity.names import Identity
from multicloud.channel import Credentials, open_channel
from multicloud.errors import McError
from multicloud.v1 import watch_pb2, watch_pb2_grpc
from multicloud.whois import split
from nodeagent.core.backoff import delay_s
from nodeagent.rpc.watch_service import Queue
from nodeagent.rpc.words import from_word, to_word

QUEUE_WORDS_MAX = 256
CONNECT_S_MAX = 5.0  # A busy machine is slow to shake hands; giving up early makes it busier.
REFUSED_S_MAX = 1.0
REDIAL_S_BASE, REDIAL_S_MAX = 0.1, 3.0
TELL_S_MAX = 3.0
TELLS_MAX = 64
Stream = grpc.aio.StreamStreamCall[watch_pb2.ObserveRequest, watch_pb2.ObserveResponse]
CHANNELS_MAX = 32  # To those with whom no stream stands.


@dataclass(slots=True)
class WatchLinks:
    cluster: str
    credentials: Callable[[], Credentials]
    address_of: Callable[[NodeId], str]  # Of a node's watch, from here; "" when not known.
    rng: Random
    on_event: Callable[[Event], None]
    group: asyncio.TaskGroup
    dropped: int = 0
    _watches: dict[NodeId, asyncio.Task[None]] = field(default_factory=dict)
    _mine: dict[NodeId, Queue] = field(default_factory=dict)
    _theirs: dict[NodeId, Queue] = field(default_factory=dict)
    _calls: OrderedDict[tuple[NodeId, str], grpc.aio.Channel] = field(default_factory=OrderedDict)
    _telling: int = 0

    # -- What the brain asks for

    def open(self, subject: NodeId) -> None:
        if subject not in self._watches:
            self._watches[subject] = self.group.create_task(self._keep(subject))

    def close(self, subject: NodeId) -> None:
        task = self._watches.pop(subject, None)
        if task:
            task.cancel()

    def send(self, to: NodeId, message: Message) -> None:
        """Over a stream that stands, else by a call. What cannot be sent is lost, as ever."""
        mine, theirs = self._mine.get(to), self._theirs.get(to)
        queue = (theirs or mine) if isinstance(message, Answer) else (mine or theirs)
        word = to_word(message)
        if queue is not None:
            self._put(queue, word)
        elif self._telling < TELLS_MAX:
            self._telling += 1
            self.group.create_task(self._tell(to, word))
        else:
            self.dropped += 1

    def _put(self, queue: Queue, word: watch_pb2.Word) -> None:
        try:
            queue.put_nowait(word)
        except asyncio.QueueFull:
            self.dropped += 1  # Whoever does not read is silent soon.

    # -- What observers of this node bring

    def heard(self, event: Received) -> None:
        self.on_event(event)

    def attach(self, observer: NodeId) -> Queue:
        queue: Queue = asyncio.Queue(QUEUE_WORDS_MAX)
        self._theirs[observer] = queue
        return queue

    def detach(self, observer: NodeId, queue: Queue) -> None:
        if self._theirs.get(observer) is queue:
            del self._theirs[observer]

    # -- Streams to subjects

    async def _keep(self, subject: NodeId) -> None:
        failures = 0
        while True:
            address = self.address_of(subject)
            opened = bool(address) and await self._observe(subject, address)
            failures = 0 if opened else failures + 1
            refused = bool(address) and await _refuses(address)
            self.on_event(WatchBroke(subject, refused))
            pause_s = delay_s(failures, self.rng, base_s=REDIAL_S_BASE, delay_s_max=REDIAL_S_MAX)
            await asyncio.sleep(pause_s)

    async def _observe(self, subject: NodeId, address: str) -> bool:
        """One stream, until it ends. Whether it stood at all."""
        queue: Queue = asyncio.Queue(QUEUE_WORDS_MAX)
        channel = self._dial(subject, address)
        opened = False
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await channel.channel_ready()
                stream = watch_pb2_grpc.WatchServiceStub(channel).Observe()
                await stream.initial_metadata()  # The subject has let this node in.
            opened = True
            self._mine[subject] = queue
            self.on_event(WatchOpened(subject))
            async with asyncio.TaskGroup() as both:
                telling = both.create_task(_tell_all(stream, queue))
                await self._hear(subject, stream)
                telling.cancel()
        except* (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError, McError):
            pass  # However it ended: WatchBroke says so, and the next dial says more.
        finally:
            if self._mine.get(subject) is queue:
                del self._mine[subject]
            await channel.close()
        return opened

    async def _hear(self, subject: NodeId, stream: Stream) -> None:
        while isinstance(response := await stream.read(), watch_pb2.ObserveResponse):
            self.on_event(Received(subject, from_word(response.word)))

    def _dial(self, node: NodeId, address: str) -> grpc.aio.Channel:
        dns_name = Identity(self.cluster, "node", node).dns_name
        return open_channel(address, dns_name, self.credentials())

    # -- Single words

    async def _tell(self, to: NodeId, word: watch_pb2.Word) -> None:
        address = self.address_of(to)
        try:
            if address:
                stub = watch_pb2_grpc.WatchServiceStub(await self._channel(to, address))
                await stub.Tell(watch_pb2.TellRequest(word=word), timeout=TELL_S_MAX)
        except grpc.aio.AioRpcError:
            pass  # As on any wire; whoever cares says it again.
        finally:
            self._telling -= 1

    async def _channel(self, to: NodeId, address: str) -> grpc.aio.Channel:
        key = (to, address)
        if key not in self._calls:
            self._calls[key] = self._dial(to, address)
            if len(self._calls) > CHANNELS_MAX:
                _, oldest = self._calls.popitem(last=False)
                await oldest.close(TELL_S_MAX)
        self._calls.move_to_end(key)
        return self._calls[key]

    async def renew(self) -> None:
        """After a new certificate: whoever is called from now on sees it. Streams stay."""
        old, self._calls = self._calls, OrderedDict()
        for channel in old.values():
            await channel.close(TELL_S_MAX)

    async def stop(self) -> None:
        for subject in list(self._watches):
            self.close(subject)
        for channel in self._calls.values():
            await channel.close()


async def _tell_all(stream: Stream, queue: Queue) -> None:
    while (word := await queue.get()) is not None:
        await stream.write(watch_pb2.ObserveRequest(word=word))


async def _refuses(address: str) -> bool:
    """Whether the machine answers and says that nothing listens there."""
    host, port = split(address)
    try:
        async with asyncio.timeout(REFUSED_S_MAX):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return False
