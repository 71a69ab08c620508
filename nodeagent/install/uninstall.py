"""`nodeagentd uninstall`: the service and the software go; data and identity stay unless purged."""

import shutil
from collections.abc import Callable
from pathlib import Path

from multicloud.errors import McError
from nodeagent.install.places import Places
from nodeagent.install.service import Service


def uninstall(
    places: Places, service: Service | None, say: Callable[[str], None], *, purge: bool
) -> None:
    """Idempotent; only ever the fixed places are removed."""
    if service and places.unit.exists():
        service.stop()
        say(f"{places.unit.name} is stopped and disabled")
    for path in (places.unit, places.drop_ins, places.opt):
        _remove(path, say)
    if service:
        service.reload_units()
    kept = [path for path in (places.etc, *places.states) if path.exists()]
    for path in kept:
        if purge:
            _remove(path, say)
        else:
            say(f"{path} is kept; --purge removes it too")


def _remove(path: Path, say: Callable[[str], None]) -> None:
    try:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return
    except OSError as error:
        raise McError(
            "FAILED",
            f"{error.filename or path} cannot be removed: {error.strerror}",
            next="mend it and run it again, as root: sudo nodeagentd uninstall",
        ) from error
    say(f"{path} is removed")
