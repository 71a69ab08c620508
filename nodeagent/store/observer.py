"""What a store tells of its work, in the store's own words; telemetry hears them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from nodeagent.telemetry import Telemetry
from nodeagent.telemetry.wire import traceparent


class StoreObserver(Protocol):
    """Called from the store's threads too."""

    def trace(self) -> str:
        """Of the chunk that the caller works for; handed to the threads that work for it."""
        ...

    def step(self, trace: str, name: str, **facts: object) -> AbstractContextManager[object]:
        """A step of that chunk's way to the disk, as long as the block runs."""
        ...

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class Silent:
    """Nobody listens."""

    def trace(self) -> str:
        return ""

    def step(self, trace: str, name: str, **facts: object) -> AbstractContextManager[object]:
        return nullcontext()

    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


class TelemetryObserver:
    """Spans and metrics of a daemon."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.count = telemetry.count
        self.observe = telemetry.observe

    def trace(self) -> str:
        return traceparent() or ""

    def step(self, trace: str, name: str, **facts: Any) -> AbstractContextManager[object]:
        if not trace:
            return nullcontext()
        return self._telemetry.span(name, parent=trace, **facts)
