"""Finds a Python that the service can run: readable by others, and not hidden by the unit."""

import json
import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError

# ProtectHome and PrivateTmp of the unit hide these from the service.
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108
PROBE_TIMEOUT_S = 10.0
_PROBE = (
    "import json, sys, sysconfig; print(json.dumps(["
    "sysconfig.get_config_var('SOABI'), sysconfig.get_path('stdlib')]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: Path  # Without symbolic links.
    soabi: str  # Compiled packages fit only the same one.
    stdlib: Path


def for_service() -> Interpreter:
    """The one that runs this, when the service can use it, else the system's of the same kind."""
    wanted = sysconfig.get_config_var("SOABI")
    why: list[str] = []
    for path in _candidates():
        found = probe(path)
        if found is None or found.soabi != wanted:
            continue
        hindrance = hindrance_of(found.path) or hindrance_of(found.stdlib)
        if not hindrance:
            return found
        why.append(f"{found.path}: {hindrance}")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise McError(
        "FAILED",
        f"no Python {version} that the service can run: {'; '.join(why)}",
        next=f"install python{version} from your distribution, or run `nodeagentd install` with a "
        "Python outside of /home, /root and /tmp",
    )


def running() -> Interpreter:
    """The one that runs this, whoever else can read it."""
    return next(found for found in map(probe, _candidates()) if found)


def _candidates() -> Iterator[Path]:
    # A virtual environment's own `python` is a link or a copy; the one behind it counts.
    yield Path(getattr(sys, "_base_executable", sys.executable))
    yield Path(sys.executable).resolve()
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield from (folder / name for folder in map(Path, ("/usr/bin", "/usr/local/bin")))


def probe(path: Path) -> Interpreter | None:
    """What a Python says of itself; None when it is none."""
    try:
        command = [str(path), "-I", "-c", _PROBE]
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=True)
        soabi, stdlib = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(path.resolve(), soabi, Path(stdlib).resolve())


def hindrance_of(path: Path) -> str:
    """Why another user cannot read a path; empty when nothing hinders."""
    for hidden in HIDDEN:
        if path.is_relative_to(hidden):
            return f"the unit hides {hidden} from the service"
    for part in (path, *path.parents):
        needed = stat.S_IXOTH if part.is_dir() else stat.S_IROTH
        if not os.stat(part).st_mode & needed:
            return f"other users may not read {part}"
    return ""
