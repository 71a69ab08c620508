"""One call as a service sees it: who calls, through whom, and for how long."""

import time
from dataclasses import dataclass, field

from identity.certificate import Holder

# A node that passes a call on shows the certificate of the operator it speaks for.
ON_BEHALF_KEY = "mc-on-behalf-bin"
REQUEST_ID_KEY = "mc-request-id"


@dataclass(frozen=True, slots=True)
class Caller:
    """The one identity of a call. `via` is the node that passed it on, if one did."""

    holder: Holder
    certificate: bytes
    peer: str
    via: Holder | None = None

    @property
    def uri(self) -> str:
        return self.holder.identity.uri

    @property
    def key(self) -> str:
        """Whose budget this call comes from: the connection's own identity."""
        return (self.via or self.holder).identity.uri


@dataclass(slots=True)
class Call:
    """What a service may know of its call besides the request."""

    method: str
    caller: Caller
    deadline_s: float | None
    trace_id: str
    started_s: float = field(default_factory=time.monotonic)

    def remaining_s(self) -> float:
        """What is left of the deadline; for calls that have none, a minute at a time."""
        if self.deadline_s is None:
            return 60.0
        return max(0.001, self.deadline_s - (time.monotonic() - self.started_s))
