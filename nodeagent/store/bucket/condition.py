"""What a volume in a bucket may still be used for, by what its cloud said last."""

from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError
from nodeagent.store import refusals
from nodeagent.store.contract import VolumeState

AGAIN_S = 15.0  # After a refusal the cloud is asked again no sooner.
# A cloud that cannot be reached or does not let us write now keeps what it has.
_FOR_NOW = ("NOT_ALLOWED", "UNREACHABLE", "TOO_BUSY", "DEADLINE", "STALLED")


@dataclass(slots=True)
class Condition:
    volume: str
    bytes_total: int
    clock: Callable[[], float]
    used_bytes: Callable[[], int]
    state: VolumeState = VolumeState.HEALTHY
    why: str = ""
    reserved_bytes: int = 0
    _refused_unix_s: float = 0.0

    @property
    def bytes_free(self) -> int:
        return max(0, self.bytes_total - self.used_bytes() - self.reserved_bytes)

    @property
    def is_writable(self) -> bool:
        return self.state is VolumeState.HEALTHY

    @property
    def shown(self) -> tuple[VolumeState, str]:
        full = self.state is VolumeState.HEALTHY and not self.bytes_free
        return (VolumeState.FULL, "its quota is used up") if full else (self.state, self.why)

    @property
    def to_try(self) -> bool:
        """It was refused, and may be let in by now."""
        waited_s = self.clock() - self._refused_unix_s
        return self.state is VolumeState.READ_ONLY and not 0 <= waited_s < AGAIN_S

    def demand_writable(self) -> None:
        refused = refusals.unwritable(self.volume, self.state, self.why)
        if refused is not None:
            raise refused

    def reserve(self, file_bytes_max: int) -> None:
        self.demand_writable()
        if self.bytes_free < file_bytes_max:
            why = f"has {self.bytes_free} bytes left of its quota, {file_bytes_max} are asked for"
            raise refusals.no_room(self.volume, why)
        self.reserved_bytes += file_bytes_max

    def wrote(self) -> None:
        if self.state is VolumeState.READ_ONLY:
            self.state, self.why = VolumeState.HEALTHY, ""

    def refused(self, error: McError) -> McError:
        """A write failed; the answer for whoever asked for it."""
        if error.reason in _FOR_NOW and self.state is not VolumeState.FAILED:
            self._refused_unix_s = self.clock()
            if error.reason != "TOO_BUSY":  # Who waits a moment is let in.
                self.state, self.why = VolumeState.READ_ONLY, error.message
        elif error.reason in ("NOT_FOUND", "VOLUME_FAILED"):
            return self.fail(error.message)
        return error

    def fail(self, why: str) -> McError:
        self.state, self.why = VolumeState.FAILED, why
        refused = refusals.unwritable(self.volume, self.state, why)
        assert refused is not None
        return refused
