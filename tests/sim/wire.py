"""The body's part in the simulation: streams that are kept, calls, and how both fail.

A model of gRPC over TLS over TCP: handshakes cost round trips, a killed process resets its
streams and refuses dials, a silent machine does neither, a paused one accepts and says nothing.
"""

from random import Random
from typing import Protocol

from coordinator.events import Received, WatchBroke, WatchOpened
from coordinator.messages import Message
from coordinator.types import NodeId
from tests.sim.hosts import Host, Later, Pipe, Watch
from tests.sim.network import RETRANSMIT_S_MIN, SYN_RETRANSMIT_S, Network
from tests.sim.sizes import wire_bytes

DIAL_TIMEOUT_S = 2.0
REDIAL_S_MIN, REDIAL_S_MAX = 0.2, 5.0
USER_TIMEOUT_S = 20.0  # Data unacknowledged for so long ends a stream (TCP_USER_TIMEOUT).
RETRANSMIT_S_MAX = 120.0
HANDSHAKE_S = 0.004  # Processor time of a mutual TLS handshake.
SYN_BYTES = 60
HANDSHAKE_BYTES = 2_600  # One side's certificates and signatures.


class Clockwork(Protocol):
    """What the wire needs of the world."""

    now_s: float
    rng: Random
    by_id: dict[NodeId, Host]

    def later(self, at_s: float, what: "Later") -> None: ...
    def step(self, host: Host, event: object) -> None: ...


class Wire:
    def __init__(self, world: Clockwork, network: Network) -> None:
        self._world = world
        self._network = network

    # --- sending -------------------------------------------------------------------------

    def send(self, sender: Host, to: NodeId, message: Message) -> None:
        sender.messages_sent += 1
        sender.bytes_sent += wire_bytes(message)
        pipes = sender.pipes.get(to)
        if pipes:
            self._push(pipes[-1], message)  # The newest: older ones may be of a dead life.
        else:
            self._call(sender, self._world.by_id[to], message)

    def _push(self, pipe: Pipe, message: Message) -> None:
        world, network = self._world, self._network
        sender, receiver = pipe.sender, pipe.receiver
        if pipe.stuck is not None:
            pipe.stuck.append(message)
            return
        if receiver.silent or network.cuts:
            if receiver.silent or not network.passes(sender.id, receiver.id):
                pipe.stuck, pipe.stuck_since_s = [message], world.now_s
                world.later(world.now_s + pipe.retry_s, (self._retry, pipe, pipe.retry_s))
                return
            if not pipe.deaf and not network.passes(receiver.id, sender.id):
                pipe.deaf = True
                world.later(world.now_s + USER_TIMEOUT_S, (self._still_deaf, pipe, None))
        delay_s = network.delay_s(sender.id, receiver.id, pipe.rtt_s, pipe.retry_s)
        at_s = world.now_s + delay_s
        if at_s < pipe.last_s:
            at_s = pipe.last_s
        pipe.last_s = at_s
        world.later(at_s, (self._arrive, pipe, message))

    def _arrive(self, pipe: Pipe, message: Message) -> None:
        receiver = pipe.receiver
        if receiver.silent:
            return
        if pipe.back is None or not pipe.back.stands:
            self._reset_other_end(pipe.receiver, pipe)
        elif receiver.paused_until_s > self._world.now_s:
            receiver.inbox.append((self._arrive, pipe, message))
        else:
            self._world.step(receiver, Received(pipe.sender.id, message))

    def _retry(self, pipe: Pipe, waited_s: float) -> None:
        world = self._world
        if not pipe.stands or pipe.stuck is None:
            return
        if not pipe.receiver.silent and self._network.passes(pipe.sender.id, pipe.receiver.id):
            waiting, pipe.stuck = pipe.stuck, None
            for message in waiting:
                self._push(pipe, message)
        elif world.now_s >= (last_s := pipe.stuck_since_s + USER_TIMEOUT_S):
            self._broken(pipe, None)
        else:
            waited_s = min(2 * waited_s, RETRANSMIT_S_MAX)
            world.later(min(world.now_s + waited_s, last_s), (self._retry, pipe, waited_s))

    def _still_deaf(self, pipe: Pipe, _: None) -> None:
        pipe.deaf = False
        if pipe.stands and not self._network.passes(pipe.receiver.id, pipe.sender.id):
            self._broken(pipe, None)

    def _call(self, sender: Host, receiver: Host, message: Message) -> None:
        """A connection for one message: two round trips of handshakes, then the message."""
        sender.calls_made += 1
        sender.bytes_sent += HANDSHAKE_BYTES
        if not (receiver.running and self._reachable(sender, receiver)):
            return
        receiver.bytes_sent += HANDSHAKE_BYTES
        rtt_s = self._network.rtt_s(sender.domain, receiver.domain)
        delay_s = 2 * rtt_s + HANDSHAKE_S + self._delay_s(sender, receiver, rtt_s)
        at_s = self._world.now_s + delay_s
        self._world.later(at_s, (self._called, (sender, receiver, receiver.lives), message))

    def _called(self, ends: tuple[Host, Host, int], message: Message) -> None:
        sender, receiver, life = ends
        if receiver.lives != life or not receiver.running or receiver.silent:
            return
        if not self._network.passes(sender.id, receiver.id):
            return
        if receiver.paused_until_s > self._world.now_s:
            receiver.inbox.append((self._called, ends, message))
        else:
            self._world.step(receiver, Received(sender.id, message))

    # --- watching ------------------------------------------------------------------------

    def open(self, observer: Host, to: NodeId) -> None:
        if to in observer.watches:
            return
        watch = observer.watches[to] = Watch(observer, self._world.by_id[to])
        self._dial(watch, 0)

    def close(self, observer: Host, to: NodeId) -> None:
        watch = observer.watches.pop(to, None)
        if watch is not None and watch.pipe is not None:
            pipe, watch.pipe = watch.pipe, None
            self._drop(pipe)
            self._reset_other_end(observer, pipe.back)

    def _dial(self, watch: Watch, attempt: int) -> None:
        world, observer, subject = self._world, watch.observer, watch.subject
        if not self._is_open(watch, attempt) or self._waits(observer, (self._dial, watch, attempt)):
            return
        watch.attempt += 1
        observer.bytes_sent += SYN_BYTES
        world.later(world.now_s + DIAL_TIMEOUT_S, (self._timed_out, watch, watch.attempt))
        if self._reachable(observer, subject):
            rtt_s = self._network.rtt_s(observer.domain, subject.domain)
            delay_s = self._delay_s(observer, subject, rtt_s)
            world.later(world.now_s + delay_s, (self._syn, watch, watch.attempt))

    def _syn(self, watch: Watch, attempt: int) -> None:
        """The subject's kernel answers: it refuses, or its process will accept."""
        world, observer, subject = self._world, watch.observer, watch.subject
        if not self._is_open(watch, attempt) or not self._reachable(observer, subject):
            return
        rtt_s = self._network.rtt_s(observer.domain, subject.domain)
        delay_s = self._delay_s(subject, observer, rtt_s)
        if not subject.running or (observer.id, subject.id) in self._network.refusing:
            world.later(world.now_s + delay_s, (self._refused, watch, attempt))
            return
        delay_s += self._delay_s(observer, subject, rtt_s) + HANDSHAKE_S
        world.later(world.now_s + delay_s, (self._accepted, watch, attempt))

    def _accepted(self, watch: Watch, attempt: int) -> None:
        observer, subject = watch.observer, watch.subject
        if not self._is_open(watch, attempt) or not self._reachable(observer, subject):
            return
        rtt_s = self._network.rtt_s(observer.domain, subject.domain)
        if not subject.running:
            at_s = self._world.now_s + self._delay_s(subject, observer, rtt_s)
            self._world.later(at_s, (self._refused, watch, attempt))
            return
        if self._waits(subject, (self._accepted, watch, attempt)):
            return
        observer.bytes_sent += HANDSHAKE_BYTES
        subject.bytes_sent += HANDSHAKE_BYTES
        retry_s = max(RETRANSMIT_S_MIN, 2 * rtt_s)
        pipe = Pipe(observer, subject, rtt_s, retry_s, watch, stands=False)
        pipe.back = Pipe(subject, observer, rtt_s, retry_s, None, pipe)
        subject.pipes.setdefault(observer.id, []).append(pipe.back)
        # The answer to the handshake, then the stream's own opening and its answer.
        delay_s = rtt_s + self._delay_s(subject, observer, rtt_s)
        pipe.back.last_s = self._world.now_s + delay_s
        self._world.later(pipe.back.last_s, (self._opened, pipe, attempt))

    def _opened(self, pipe: Pipe, attempt: int) -> None:
        watch, observer = pipe.watch, pipe.sender
        assert watch is not None
        if not self._is_open(watch, attempt):
            self._reset_other_end(observer, pipe.back)
            return
        if self._waits(observer, (self._opened, pipe, attempt)):
            return
        watch.pipe, watch.failures, pipe.stands = pipe, 0, True
        watch.attempt += 1  # The dial's own timer is void now.
        observer.pipes.setdefault(watch.subject.id, []).append(pipe)
        self._world.step(observer, WatchOpened(watch.subject.id))
        if pipe.back is None or not pipe.back.stands:
            self._broken(pipe, None)

    def _refused(self, watch: Watch, attempt: int) -> None:
        self._failed(watch, attempt, True)

    def _timed_out(self, watch: Watch, attempt: int) -> None:
        self._failed(watch, attempt, False)

    def _failed(self, watch: Watch, attempt: int, refused: bool) -> None:
        if not self._is_open(watch, attempt):
            return
        what = self._refused if refused else self._timed_out
        if self._waits(watch.observer, (what, watch, attempt)):
            return
        watch.failures += 1
        watch.attempt += 1  # Whatever else this dial would still say, it is over.
        wait_s = min(REDIAL_S_MIN * 2 ** (watch.failures - 1), REDIAL_S_MAX)
        wait_s *= 0.8 + 0.4 * self._world.rng.random()
        self._world.later(self._world.now_s + wait_s, (self._dial, watch, watch.attempt))
        self._world.step(watch.observer, WatchBroke(watch.subject.id, refused))

    # --- endings -------------------------------------------------------------------------

    def end_all(self, host: Host) -> None:
        """The process is gone. Unless the machine is, its kernel resets every stream."""
        host.watches.clear()
        for pipes in list(host.pipes.values()):
            for pipe in list(pipes):
                self._drop(pipe)
                if not host.silent:
                    self._reset_other_end(host, pipe.back)
        host.pipes.clear()

    def reset(self, observer: Host, subject: Host) -> None:
        """Something in between ends the observer's stream."""
        watch = observer.watches.get(subject.id)
        if watch is not None and watch.pipe is not None:
            self._broken(watch.pipe, None)

    def _reset_other_end(self, host: Host, other_end: Pipe | None) -> None:
        """`host` says that a stream is no more; whoever holds the other end will hear, or not."""
        if other_end is None or not self._network.passes(host.id, other_end.sender.id):
            return
        delay_s = self._delay_s(host, other_end.sender, other_end.rtt_s)
        at_s = max(self._world.now_s + delay_s, other_end.back.last_s if other_end.back else 0.0)
        self._world.later(at_s, (self._broken, other_end, None))

    def _broken(self, pipe: Pipe, _: None) -> None:
        """The sender's end has ended. An observer dials again at once."""
        host, watch = pipe.sender, pipe.watch
        if not pipe.stands or host.silent or self._waits(host, (self._broken, pipe, None)):
            return
        self._drop(pipe)
        if pipe.back is not None and pipe.back.stands:
            self._reset_other_end(host, pipe.back)
        if watch is not None and watch.pipe is pipe:
            watch.pipe = None
            self._world.step(host, WatchBroke(watch.subject.id, False))
            if host.watches.get(watch.subject.id) is watch:
                self._dial(watch, watch.attempt)

    def _drop(self, pipe: Pipe) -> None:
        pipe.stands = False
        pipe.stuck = None
        ends = pipe.sender.pipes.get(pipe.receiver.id)
        if ends is not None and pipe in ends:
            ends.remove(pipe)
            if not ends:
                del pipe.sender.pipes[pipe.receiver.id]

    # --- small questions -----------------------------------------------------------------

    def _is_open(self, watch: Watch, attempt: int) -> bool:
        current = watch.observer.watches.get(watch.subject.id) is watch
        return current and watch.attempt == attempt and watch.observer.running

    def _waits(self, host: Host, work: Later) -> bool:
        """Whether the process stands still; then it does the work when it wakes."""
        if host.paused_until_s > self._world.now_s:
            host.inbox.append(work)
            return True
        return False

    def _reachable(self, a: Host, b: Host) -> bool:
        if a.silent or b.silent:
            return False
        network = self._network
        return not network.cuts or (network.passes(a.id, b.id) and network.passes(b.id, a.id))

    def _delay_s(self, sender: Host, receiver: Host, rtt_s: float) -> float:
        return self._network.delay_s(sender.id, receiver.id, rtt_s, SYN_RETRANSMIT_S)
