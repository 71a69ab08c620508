"""Azurite, Azure's own emulator of its blob storage, where there is Node."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nodes import free_ports
from tests.support.servers.process import not_run, serving

MAIN = "node_modules/azurite/dist/src/blob/main.js"
HERE = Path(__file__).parent / "azurite"
ACCOUNT = "devstoreaccount1"
# Known to everybody: it opens emulators only.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Its url with the account, until the block ends."""
    node = shutil.which("node")
    if node is None or not (HERE / MAIN).exists():
        not_run("Azurite", "install Node 20 with npm, then `make servers`")
    [port] = free_ports(1)
    command = [node, HERE / MAIN, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    options = ["--location", folder / "blobs", "--skipApiVersionCheck", "--disableTelemetry"]
    with serving([*command, *options, "--silent"], port, folder / "azurite.log"):
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
