"""What this node sends each peer, and how long it waits for its credit; since the node began."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

PEERS_MAX = 1024


@dataclass(slots=True)
class Use:
    bytes: int = 0
    seconds: float = 0.0  # That streams were open, added up.
    waited_s: float = 0.0


@dataclass(slots=True)
class Usage:
    _of: OrderedDict[str, Use] = field(default_factory=OrderedDict)

    def add(self, peer: str, size_bytes: int, seconds: float, waited_s: float) -> None:
        use = self._of.setdefault(peer, Use())
        use.bytes += size_bytes
        use.seconds += seconds
        use.waited_s += waited_s
        self._of.move_to_end(peer)
        if len(self._of) > PEERS_MAX:
            self._of.popitem(last=False)

    def now(self) -> Mapping[str, Use]:
        return dict(self._of)
