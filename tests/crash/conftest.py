"""The ground that stores stand on, and what all crash tests together have looked at."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.ground import Ground
from tests.crash.points import Found

TALLY = Found()


@pytest.fixture(scope="session")
def tally() -> Found:
    return TALLY


@pytest.fixture(scope="module")
def quick_folder() -> Iterator[Path]:
    """In memory where there is such a place: nothing in it has to survive more than a process."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def ground(quick_folder: Path) -> Ground:
    return Ground(Path(tempfile.mkdtemp(dir=quick_folder)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.count:
        terminalreporter.write_line(f"crash points: {TALLY}")
