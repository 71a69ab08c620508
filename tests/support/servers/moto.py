"""moto as an S3 endpoint: it knows every condition, and takes any checksum."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nodes import free_ports
from tests.support.servers.process import serving


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Its url, until the block ends."""
    [port] = free_ports(1)
    command = [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, folder / "moto.log"):
        yield f"http://127.0.0.1:{port}"
