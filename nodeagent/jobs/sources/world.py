"""What sources have to know of the node that they are on, and of the others."""

from typing import Protocol

import grpc

from coordinator.types import View


class World(Protocol):
    @property
    def own(self) -> str: ...

    def view(self) -> View: ...
    def name_of(self, node: str) -> str: ...

    def channel(self, node: str) -> grpc.aio.Channel:
        """UNREACHABLE when no way is known."""
        ...

    def is_there(self, node: str) -> bool: ...
