"""OpenStack Swift as an S3 endpoint: strict about checksums and preconditions, as AWS is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nodes import free_ports
from tests.support.servers.process import not_run, serving

# `make test` makes it beside the environment that runs the tests.
PYTHON = Path(sys.prefix).parent / ".venv-swift" / "bin" / "python"
KEY = "test:tester:testing"
READER = "test:reader:reading"


@contextmanager
def swift(folder: Path) -> Iterator[str]:
    """Its url, until the block ends."""
    if not PYTHON.exists():
        not_run("OpenStack Swift", "`make servers`")
    [port] = free_ports(1)
    script = Path(__file__).parent / "swift_server.py"
    command = [PYTHON, "-P", script, folder / "swift", str(port)]  # -P: beside it lies a swift.py.
    with serving(command, port, folder / "swift.log"):
        yield f"http://127.0.0.1:{port}"
