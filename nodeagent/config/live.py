"""The configuration in force: read again on demand; a bad file changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from nodeagent.config.load import Loaded
from nodeagent.config.model import Config
from nodeagent.config.reload import Change, take


@dataclass(slots=True)
class LiveConfig:
    read: Callable[[], Loaded]
    loaded: Loaded

    @property
    def current(self) -> Config:
        return self.loaded.config

    def reload(self) -> Change:
        """Takes what can change while the node runs. Raises, and changes nothing, on any fault."""
        self.loaded, change = take(self.loaded, self.read())
        return change
