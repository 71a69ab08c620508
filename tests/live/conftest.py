"""One six-node cluster for all tests that leave it as they found it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.cluster import Cluster, Home


@pytest.fixture
def home() -> Iterator[Home]:
    """A home whose path is short enough for sockets; whatever is left running in it is ended."""
    with tempfile.TemporaryDirectory(prefix="mc-") as folder:
        yield from _cared_for(Home(Path(folder)))


@pytest.fixture(scope="session")
def six() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="mc-") as folder:
        for home in _cared_for(Home(Path(folder))):
            yield Cluster(home, "six", home.json("dev", "up", "--name", "six"))
            home.json("dev", "down", "--name", "six")


def _cared_for(home: Home) -> Iterator[Home]:
    try:
        yield home
    finally:
        for name in home.dev_folders():
            home.run("dev", "down", "--name", name)
