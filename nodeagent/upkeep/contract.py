"""What the upkeep asks of its neighbours: the node's chunks, the other members, and three kinds of
knowledge that jobs and council will bring: what is live, where copies are, which keys exist.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.policy import Policy, Site
from coordinator.types import NodeId
from nodeagent.core.upkeep_proofs import Proof
from nodeagent.core.upkeep_tally import Standings
from nodeagent.store.contract import Evidence, Held, Pin, Trashed, Verified

DAY_S = 24 * 3600.0


class Chunks(Protocol):
    """All chunks of this node, on whichever volume."""

    async def find(self, chunk_ids: Sequence[bytes]) -> list[Held]: ...
    async def verify(self, chunk_id: bytes, nonce: bytes = b"") -> Verified: ...
    async def pins(self, chunk_id: bytes) -> Sequence[Pin]: ...
    async def unpin(self, holder: str) -> int: ...
    async def trash(self, chunk_id: bytes, why: str) -> bool: ...
    async def revive(self, chunk_id: bytes) -> Held: ...
    async def purge(self, chunk_id: bytes) -> int: ...
    async def trashed(self) -> Sequence[Trashed]: ...
    async def evidence(self) -> Sequence[Evidence]: ...
    async def discard(self, name: str) -> None: ...
    def list(self, after: bytes = b"") -> AsyncIterator[Held]: ...


@dataclass(frozen=True, slots=True)
class Live:
    """Which chunks something names, with the policy of each."""

    chunks: Mapping[bytes, Policy]
    as_of_unix_s: float  # When this reading began: what came to be later may be missing.
    others: int = 0  # How many more are live, of none of which a copy is here.

    @property
    def in_all(self) -> int:
        return len(self.chunks) + self.others


class Roots(Protocol):
    async def read(self, *, anew: bool = True) -> Live | None:
        """Read anew, from whoever decides. None when nobody has said yet what is live; an error
        when it cannot be read now. In both cases nothing is deleted. Not anew: what this node
        knows without asking, for whoever only adds copies.
        """
        ...


class Witness(Protocol):
    """The roots once more, by other code: the inspector believes nobody."""

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        """Of each whether something names it, and when this reading began."""
        ...


class Whereabouts(Protocol):
    async def holders(self, chunk_id: bytes) -> Sequence[NodeId]:
        """Other members that may have a copy, also those that are away now. Better one too many
        than one too few.
        """
        ...


class Keys(Protocol):
    async def known(self) -> Collection[bytes] | None:
        """Ids of all dataset keys there are; None on a node that has none of them."""
        ...


class Members(Protocol):
    """Those that may be asked now, the nearest first."""

    @property
    def own(self) -> Site: ...
    def others(self) -> Sequence[Site]: ...
    def buckets(self) -> Sequence[Site]:
        """Those that others serve, asked by the names of their places."""
        ...

    def away(self) -> Sequence[NodeId]:
        """Members that cannot be asked now, and may come back."""
        ...

    def standings(self) -> Standings:
        """All that are known, the own node among them, and what their copies count for now."""
        ...

    def frozen(self) -> bool:
        """A great loss at once is being waited out: nothing is copied, trimmed or deleted."""
        ...

    def begun(self) -> bool:
        """False of who has just begun, and knows few of the others."""
        ...

    def name(self, node: NodeId) -> str: ...
    def is_draining(self, node: NodeId) -> bool: ...


class Fellows(Protocol):
    """What other members do for the upkeep of this one. Whoever does not answer is an McError."""

    async def prove(
        self, node: NodeId, chunk_ids: Sequence[bytes], nonce: bytes, fresh_s: float = 0.0
    ) -> Sequence[Proof]:
        """One proof for each, in that order. With `fresh_s` a check of so long ago is enough."""
        ...

    async def promise(
        self, node: NodeId, chunk_ids: Sequence[bytes], keep_s: float
    ) -> Collection[bytes]:
        """Those that are good there, and kept so long. Revives what lies in the trash there."""
        ...

    async def push_here(self, node: NodeId, chunk_id: bytes, job: str) -> None:
        """Returns when the copy is durable here."""
        ...


class Giving(Protocol):
    """Elects nodes for the copies that a chunk lacks, and brings it there."""

    async def give(self, held: Held, policy: Policy, holders: Sequence[NodeId]) -> Sequence[NodeId]:
        """Who took one. Returns when the policy is met again; COPIES_MISSING and others if not."""
        ...


class Telling(Protocol):
    """Telemetry as the upkeep uses it."""

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...
    def span(self, name: str, **facts: Any) -> AbstractContextManager[Any]: ...


class Happenings(Protocol):
    """Events for `mcctl events`."""

    def add(self, name: str, **facts: str) -> None: ...


class Settings(Protocol):
    """Options of `[upkeep]`, as they are now."""

    @property
    def look_every_s(self) -> float: ...
    @property
    def scrub_within_s(self) -> float: ...
    @property
    def scrub_bytes_per_s_max(self) -> int: ...
    @property
    def repair_at_once_max(self) -> int: ...
    @property
    def repair_bytes_per_s_max(self) -> int: ...
    @property
    def evidence_keep_s(self) -> float: ...
    @property
    def trash_every_s(self) -> float: ...
    @property
    def trash_keep_s(self) -> float: ...
    @property
    def trash_share_max(self) -> float: ...
    @property
    def grace_s(self) -> float: ...
    @property
    def surplus_every_s(self) -> float: ...
