"""Where everything of an installed node is. `root` is `/`, or the root of an image or a test."""

from dataclasses import dataclass
from pathlib import Path

UNIT = "nodeagentd.service"


@dataclass(frozen=True, slots=True)
class Places:
    root: Path

    @property
    def opt(self) -> Path:
        return self.root / "opt/multicloud"

    @property
    def releases(self) -> Path:
        return self.opt / "releases"

    @property
    def current(self) -> Path:
        """A symbolic link into `releases`: an upgrade and a rollback are one switch of it."""
        return self.opt / "current"

    @property
    def etc(self) -> Path:
        return self.root / "etc/multicloud"

    @property
    def config(self) -> Path:
        return self.etc / "nodeagent.toml"

    @property
    def identity(self) -> Path:
        return self.etc / "identity"

    @property
    def unit(self) -> Path:
        return self.root / "etc/systemd/system" / UNIT

    @property
    def drop_ins(self) -> Path:
        return self.unit.with_name(f"{UNIT}.d")

    @property
    def states(self) -> tuple[Path, ...]:
        """With DynamicUser the first is a link to the second."""
        lib = self.root / "var/lib"
        return (lib / "multicloud", lib / "private/multicloud")
