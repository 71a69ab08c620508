"""Spans of the upkeep are linked to the writing of the chunk that they are about."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from nodeagent.upkeep.contract import Telling


def unknown(_: bytes) -> str:
    return ""


@dataclass(slots=True)
class Linking:
    telling: Telling
    origin: Callable[[bytes], str] = unknown  # The traceparent of a chunk's writing.

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        self.telling.count(name, n, **labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.telling.observe(name, value, **labels)

    def span(self, name: str, **facts: Any) -> AbstractContextManager[Any]:
        chunk = facts.get("chunk")
        found = self.origin(bytes.fromhex(chunk)) if chunk else ""
        return self.telling.span(name, **({"links": [found]} if found else {}), **facts)
