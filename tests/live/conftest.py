"""One six-node cluster for all tests that leave it as they found it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.cluster import Cluster, Home

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Six real daemons share the machine with whatever else runs on it: one test may be run once
    more, and pytest's summary says RERUN.
    """
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
