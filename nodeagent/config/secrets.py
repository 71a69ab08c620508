"""Finds keys on disk that others may read, before the daemon uses them."""

import stat
from collections.abc import Mapping
from pathlib import Path

from multicloud.errors import FieldFault
from nodeagent.config.model import Config

SECRETS = ("node.key", "cluster.key")


def exposed(config: Config, env: Mapping[str, str]) -> list[FieldFault]:
    """A fault for each key whose mode lets others read it. What is absent is not judged here."""
    if env.get("CREDENTIALS_DIRECTORY"):
        return []  # systemd made these files, for this service alone.
    folders = (config.identity.dir, config.node.state_dir / "identity")
    return [fault for folder in folders for name in SECRETS for fault in _judge(folder / name)]


def _judge(path: Path) -> list[FieldFault]:
    try:
        status = path.stat()
    except OSError:
        return []  # Absent, or behind a folder that keeps others out. Who needs it will say so.
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        rule = f"others may read it (mode {mode:04o}): chmod 600 {path}"
        return [FieldFault("secret", rule, str(path))]
    return []
