"""Much lost at once is more often a cut than a catastrophe: then nothing is copied for a while."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from coordinator.settings import Settings
from coordinator.types import NodeId


@dataclass(slots=True)
class LossGuard:
    settings: Settings
    frozen_since_s: float | None = None
    _lost_s: dict[NodeId, float] = field(default_factory=dict)

    def lost(
        self,
        node: NodeId,
        present_before: Iterable[NodeId],
        place: Callable[[NodeId], str],
        now_s: float,
    ) -> bool:
        """A node was found dead. True when that begins a freeze."""
        self._lost_s[node] = now_s
        if self.frozen_since_s is not None:
            return False
        recent = {
            n for n, at in self._lost_s.items() if now_s - at <= self.settings.correlated_window_s
        }
        everyone = set(present_before) | recent
        enough = len(recent) >= self.settings.correlated_nodes_min
        many = enough and len(recent) > self.settings.correlated_share * len(everyone)
        region = {n for n in everyone if place(n) == place(node)}
        if many or (len(region) >= 2 and region <= recent):
            self.frozen_since_s = now_s
            return True
        return False

    def back(self, node: NodeId) -> bool:
        """A lost node lives. True when that ends the freeze: all that were lost are back."""
        self._lost_s.pop(node, None)
        if self.frozen_since_s is not None and not self._lost_s:
            self.frozen_since_s = None
            return True
        return False

    def thaw(self, now_s: float) -> bool:
        """True when the longest freeze is over just now."""
        since_s = self.frozen_since_s
        if since_s is not None and now_s - since_s >= self.settings.freeze_s_max:
            self.frozen_since_s = None
            self._lost_s.clear()
            return True
        return False

    @property
    def frozen(self) -> bool:
        return self.frozen_since_s is not None

    def due_s(self) -> float:
        if self.frozen_since_s is None:
            return float("inf")
        return self.frozen_since_s + self.settings.freeze_s_max
