"""Everything that can happen to a brain. Together with the actions, its table of contents."""

from dataclasses import dataclass

from coordinator.messages import Message
from coordinator.types import Facts, NodeId


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to what `due_s` said, or later."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived, from a node that TLS has named."""

    sender: NodeId
    message: Message
    held_s: float = 0.0  # How long it has waited here already.


@dataclass(frozen=True, slots=True)
class WatchOpened:
    """The stream to a subject stands."""

    subject: NodeId


@dataclass(frozen=True, slots=True)
class WatchBroke:
    """The stream to a subject ended, or could not be opened.

    `refused`: its machine answers and says that nothing listens there.
    """

    subject: NodeId
    refused: bool


@dataclass(frozen=True, slots=True)
class PeerMet:
    """A node was met outside of gossip: a configured address answered, or it called here."""

    node: NodeId
    generation: int


@dataclass(frozen=True, slots=True)
class FactsChanged:
    """This node has something new to say about itself; the brain numbers the version."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class LeaveAsked:
    """This node is going down on purpose."""


@dataclass(frozen=True, slots=True)
class RemovalDecided:
    """A node never comes back."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class GenerationSaved:
    """A higher generation of this node is on disk."""

    generation: int


Event = (
    Tick
    | Received
    | WatchOpened
    | WatchBroke
    | PeerMet
    | FactsChanged
    | LeaveAsked
    | RemovalDecided
    | GenerationSaved
)
