"""Google's storage as an emulator that keeps its promises on generations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nodes import free_ports
from tests.support.servers.process import serving


@contextmanager
def gcs(folder: Path) -> Iterator[str]:
    """Its url, until the block ends."""
    [port] = free_ports(1)
    script = Path(__file__).parent / "gcs_server.py"
    with serving([sys.executable, "-P", script, str(port)], port, folder / "gcs.log"):
        yield f"http://127.0.0.1:{port}"
