"""How our processes are started: a fresh interpreter, none of the daemon's secrets, one thread."""

import os
import sys

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR")
_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def command(module: str) -> list[str]:
    """-P: the working directory is no place to import from."""
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    threads = dict.fromkeys(_ONE_THREAD, "1")
    return {**kept, **threads, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
