"""Calls as telemetry sees them: a span around each, and how long each took."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from nodeagent.telemetry import Telemetry, extract

_log = structlog.stdlib.get_logger(__name__)
# Asked every second by machines: their spans would push out everything else.
QUIET = ("/grpc.health.v1.", "/multicloud.v1.PeerService/Greet", "/multicloud.v1.WatchService/")


@dataclass(slots=True)
class CallObserver:
    telemetry: Telemetry

    @contextmanager
    def around(self, method: str, metadata: Mapping[str, str | bytes]) -> Iterator[str]:
        if method.startswith(QUIET):
            yield ""
            return
        parent = extract(tuple(metadata.items()))
        name = method.removeprefix("/multicloud.v1.")
        with self.telemetry.span(name, parent=parent, kind="server", method=method) as span:
            yield span.trace_id

    def done(self, method: str, code: str, seconds: float) -> None:
        self.telemetry.observe("rpc.server.call.duration", seconds, method=method, code=code)

    def limited(self, limit: str) -> None:
        self.telemetry.count("mc.calls.limited", limit=limit)

    def defect(self, method: str, error: BaseException) -> None:
        _log.error("call_failed", method=method, exc_info=error)
