"""How the suite shares a machine: by file over several processes, all dev clusters in one of them.

A test with real daemons or nodes meets whatever else runs on the machine: it may run twice more,
and pytest's summary then says RERUN. All others have to pass at once.
"""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.lacking import lacking

# Suites and worlds that tests import: their asserts explain themselves too.
pytest.register_assert_rewrite("tests.unit.store.conformance", "tests.unit.store.store_world")

HERE = Path(__file__).parent
TOGETHER = ("live", "clouds")  # They share clusters, or servers of clouds.
REAL = {"live", "rpc", "wire", "council", "sources", "datasets", "jobs", "working"}


class ByFile(LoadScopeScheduling):
    """A process takes a file at a time; the files of some folders count as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        together = (name for name in TOGETHER if file.startswith(f"tests/{name}/"))
        return next(together, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.relative_to(HERE).parts[0] in REAL:
        item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a machine lacks is never passed over in silence."""
    skipped = terminalreporter.getreports("skipped")
    lines = lacking(str(report.longrepr[-1]) for report in skipped if report.longrepr)
    if lines:
        terminalreporter.section("not run", red=True)
        for line in lines:
            terminalreporter.write_line(line, red=True)
