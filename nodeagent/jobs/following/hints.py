"""Hints that a folder of this node has changed. They only make a look come sooner: the system loses
some when many come at once, and network file systems give none. The looks are the truth.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

_log = structlog.stdlib.get_logger(__name__)
GATHER_MS = 200


async def hints(folder: Path, tell: Callable[[], None]) -> None:
    """Until it is cancelled, or the system gives no more of them."""
    try:
        from watchfiles import awatch
    except ModuleNotFoundError:
        return
    try:
        changes = awatch(folder, watch_filter=None, debounce=GATHER_MS, step=GATHER_MS)
        async for _ in changes:
            tell()
    except (OSError, RuntimeError) as error:  # Away, or more folders than the system watches.
        _log.info("no_hints", folder=str(folder), why=str(error))
