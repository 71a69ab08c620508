"""What sources have to know of the node that they are on, and of the others."""

from typing import Protocol

from coordinator.types import View


class World(Protocol):
    @property
    def own(self) -> str: ...

    def view(self) -> View: ...
    def name_of(self, node: str) -> str: ...
    def is_there(self, node: str) -> bool: ...
