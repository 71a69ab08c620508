"""A simulated machine: one production brain, its clock, and what the process around it holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from coordinator.actions import Action
from coordinator.events import Event
from coordinator.settings import Settings
from coordinator.types import Domain, Facts, NodeId, View


class Brain(Protocol):
    """What the simulator drives; `coordinator.brain.Brain` is one."""

    def step(self, event: Event, now_s: float) -> list[Action]: ...
    def due_s(self) -> float: ...
    def view(self, now_s: float) -> View: ...


MakeBrain = Callable[[Facts, Settings, Random, float], Brain]
Later = tuple[Callable[[Any, Any], None], Any, Any]  # Work for a process that stands still.


@dataclass(slots=True, eq=False)
class Host:
    """The machine outlives its process: address, clock and the generation on its disk stay."""

    index: int
    id: NodeId
    domain: Domain
    clock_offset_s: float  # Every machine's monotonic clock began at another time,
    clock_rate: float  # and runs at its own speed.
    generation: int = 0
    more: bytes = bytes(60)  # Addresses and the like, as the body's part of the facts has.
    wall_step_s: float = 0.0  # What was done to the wall clock. No brain is ever given it.
    running: bool = False
    silent: bool = False  # A black hole: nothing gets in or out, not even a refusal.
    brain: Brain | None = None
    lives: int = 0
    started_s: float = 0.0
    ended: list[tuple[float, float]] = field(default_factory=list)  # Earlier lives: from, to.
    excused_until_s: float = 0.0  # Whoever calls it dead until then is right to.
    paused_until_s: float = 0.0
    inbox: list[Later] = field(default_factory=list)
    tick_at_s: float = float("inf")
    watches: dict[NodeId, "Watch"] = field(default_factory=dict)
    pipes: dict[NodeId, list["Pipe"]] = field(default_factory=dict)
    messages_sent: int = 0
    bytes_sent: int = 0
    calls_made: int = 0

    @property
    def name(self) -> str:
        return f"n{self.index}"

    def spans(self) -> list[tuple[float, float]]:
        """When a process ran here, the present one without end."""
        return [*self.ended, (self.started_s, float("inf"))] if self.running else self.ended

    def facts(self, version: int = 1, bytes_free: int = 1 << 40) -> Facts:
        return Facts(
            self.id,
            self.generation,
            version,
            self.name,
            self.domain,
            bytes_total=1 << 41,
            bytes_free=bytes_free,
            more=self.more,
        )

    def clock_s(self, world_s: float) -> float:
        """What this machine's monotonic clock shows at a time of the world."""
        return self.clock_offset_s + world_s * self.clock_rate

    def world_s(self, clock_s: float) -> float:
        return (clock_s - self.clock_offset_s) / self.clock_rate


@dataclass(slots=True, eq=False)
class Watch:
    """The driver's promise to keep a stream to a subject, dial after dial."""

    observer: Host
    subject: Host
    attempt: int = 0
    failures: int = 0
    pipe: "Pipe | None" = None  # The observer's end, while it stands.


@dataclass(slots=True, eq=False)
class Pipe:
    """One direction of a stream, held by its sender. Order is kept, as in TCP."""

    sender: Host
    receiver: Host
    rtt_s: float
    retry_s: float
    watch: Watch | None  # Set on the observer's end: it redials when the stream breaks.
    back: "Pipe | None" = None
    stands: bool = True
    last_s: float = 0.0  # Nothing sent later arrives earlier.
    stuck: list[Any] | None = None  # Sent, unacknowledged, tried again and again.
    stuck_since_s: float = 0.0
    deaf: bool = False  # Acknowledgements do not come back; a timer runs.
