"""The words of a delivery: what is wanted, what is heard, what is to be done, what was reached."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from coordinator.placement import Election
from coordinator.policy import Policy
from coordinator.types import NodeId
from multicloud.errors import McError

ACK_COPIES_DEFAULT = 2


@dataclass(frozen=True, slots=True)
class Goal:
    """Safe is the policy; acked is the same rules for the first `ack_copies` of its copies."""

    policy: Policy
    ack_copies: int = ACK_COPIES_DEFAULT

    def __post_init__(self) -> None:
        assert self.ack_copies >= 1

    @property
    def acked(self) -> Policy:
        """So few copies cannot be in more domains than they are, and are in as many as asked. A
        bucket is slower than nodes: for it only safe waits.
        """
        copies = min(self.ack_copies, self.policy.replicas)
        spread = tuple((level, min(count, copies)) for level, count in self.policy.spread)
        return replace(self.policy, replicas=copies, spread=spread, bucket="")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a delivery goes on trying."""

    tries_max: int = 10  # Elections and pauses since the last new copy: some 25 s, a restart.
    pause_base_s: float = 0.25
    pause_s_max: float = 8.0
    elsewhere_s: float = 2.0  # Who has no room or no disk is not elected again sooner.
    # A target is late when it takes so many times as long as the slowest copy that is there,
    late_times: float = 4.0
    late_s_min: float = 10.0  # and never before; the wire ends what stands still by itself.


@dataclass(frozen=True, slots=True)
class Branch:
    """A node that gets the chunk, and whom it passes it on to."""

    node: NodeId
    children: tuple["Branch", ...] = ()

    def paths(self, above: tuple[NodeId, ...] = ()) -> Iterator[tuple[NodeId, ...]]:
        """Every node of it as the last of its path."""
        path = (*above, self.node)
        yield path
        for child in self.children:
            yield from child.paths(path)

    def nodes(self) -> Iterator[NodeId]:
        return (path[-1] for path in self.paths())


# -- What is heard


@dataclass(frozen=True, slots=True)
class Copy:
    """Durable on that volume: Stored, or AlreadyHere."""

    node: NodeId
    volume: str
    already: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """That node has no copy of this put."""

    node: NodeId
    reason: str
    message: str = ""
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True)
class HolderFailed:
    """A push did not begin or broke at the holder: nothing is known against these nodes."""

    holder: NodeId
    nodes: tuple[NodeId, ...]
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Away:
    """The members do not hear that node: its process is gone, or it is."""

    node: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    """That node is there and has these volumes. Who was removed for ever has none."""

    node: NodeId
    volumes: frozenset[str] | None = None  # None: it has not said.


@dataclass(frozen=True, slots=True)
class Lost:
    """That node says itself that it has no good copy any more."""

    node: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class Elected:
    """The answer to `ElectAgain`; without an election, why there is none."""

    election: Election | None
    why: str = ""


Event = Copy | Failed | HolderFailed | Away | Seen | Lost | Elected


# -- What was reached


@dataclass(frozen=True, slots=True)
class Reached:
    """Exactly what is there now, and why the rest is not."""

    copies: tuple[Copy, ...]  # Of volumes that exist.
    acked: bool
    safe: bool
    missing: str  # Of the policy, in plain words; "" when it is met.
    failures: tuple[Failed, ...]  # The last of each node that has no copy.
    names: Mapping[NodeId, str] = field(default_factory=dict)
    away: frozenset[NodeId] = frozenset()  # They have copies and do not answer.

    def error(self, chunk_id: bytes = b"") -> McError:
        """COPIES_MISSING, with all of that."""
        which = f"chunk {chunk_id.hex()}" if chunk_id else "the chunk"
        has = self._listed(self.copies) or "no copy"
        said = f"{which} is not safe: it has {has}"
        if self.missing:
            said += f"; {self.missing}"
        why = [f"{self._name(f.node)}: {f}" for f in self.failures]
        if why:
            said += f"; {'; '.join(why)}"
        facts = {
            "chunk": chunk_id.hex(),
            "copies": str(len(self.copies)),
            "acked": str(self.acked).lower(),
            "missing": self.missing,
        }
        return McError("COPIES_MISSING", said, facts=facts)

    def _listed(self, copies: Iterable[Copy]) -> str:
        return ", ".join(
            f"a copy on {self._name(copy.node)}" + (" (away)" if copy.node in self.away else "")
            for copy in copies
        )

    def _name(self, node: NodeId) -> str:
        return self.names.get(node, node)


# -- What is to be done


@dataclass(frozen=True, slots=True)
class Send:
    """The first flow: from the sender along the tree; `local`: the sender is a target itself."""

    local: bool
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """A node that has the chunk sends it to others."""

    holder: NodeId
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody waits for that node any more. What it still says counts."""

    node: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class ElectAgain:
    """For the copies that are missing beside `holders`, who have one or are about to."""

    holders: tuple[NodeId, ...]
    refused: Mapping[NodeId, str]  # And why, as `World.unfit`.


@dataclass(frozen=True, slots=True)
class Acked:
    """Once, and never taken back."""

    reached: Reached


@dataclass(frozen=True, slots=True)
class Safe:
    """The end."""

    reached: Reached


@dataclass(frozen=True, slots=True)
class Short:
    """The end without being safe. Without any copy the chunk must be sealed and sent anew."""

    reached: Reached


Action = Send | Push | GiveUp | ElectAgain | Acked | Safe | Short
