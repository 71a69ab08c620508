"""Everything that a brain can ask for. The driver performs them in order."""

from dataclasses import dataclass

from coordinator.messages import Message
from coordinator.types import Knowing, NodeId


@dataclass(frozen=True, slots=True)
class Send:
    """To any node that is reachable: over a stream that stands, else by a call of its own."""

    to: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Dial a subject and keep a stream to it; again and again until CloseWatch."""

    subject: NodeId


@dataclass(frozen=True, slots=True)
class CloseWatch:
    subject: NodeId


@dataclass(frozen=True, slots=True)
class SaveGeneration:
    """This node's state was lost: peers remember a higher generation. Save it, then say so."""

    generation: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Something changed that people and the body want to know; also a line of `mcctl events`."""

    what: str  # "node.suspect", "node.dead", …
    node: NodeId
    knowing: Knowing | None = None
    why: str = ""


Action = Send | OpenWatch | CloseWatch | SaveGeneration | Tell
