"""How the suite shares a machine: by file over several processes, all dev clusters in one of them.

A test with real daemons or nodes meets whatever else runs on the machine: it may run once more,
and pytest's summary then says RERUN. All others have to pass at once.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL = {"live", "rpc", "wire", "council", "sources", "datasets", "jobs", "working"}


@pytest.hookimpl(tryfirst=True)  # Before xdist reads the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        together = folder if folder == "live" else str(item.path.relative_to(HERE))
        item.add_marker(pytest.mark.xdist_group(together))
        if folder in REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))
