"""What production a life is made of; planted bugs take the place of one part of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coordinator.brain import Brain
from coordinator.council.acceptor import Acceptor, Memory
from tests.sim.hosts import MakeBrain
from tests.sim.whole.disk import Habits, SimKeeping


def as_it_is(_: Any) -> None:
    """Nothing is planted."""


@dataclass(frozen=True, slots=True)
class Rules:
    acceptor: Callable[[Memory], Acceptor] = Acceptor
    habits: Habits = field(default_factory=Habits)
    jobs: Callable[[Any], None] = as_it_is  # Changes the JobPlane of a process that starts.
    upkeep: Callable[[Any], None] = as_it_is  # Changes the process, before it starts.
    keeping: Callable[..., Any] = SimKeeping
    acks: int = 2  # Copies on disk when a worker says that a chunk is acked.
    brain: MakeBrain = Brain


AS_IT_IS = Rules()
