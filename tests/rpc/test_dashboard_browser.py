"""The dashboard in a real browser: every view, both sizes, both themes, a question first."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multicloud.context import Contexts
from multicloud.v1 import job_pb2
from tests.rpc.test_dashboard import served
from tests.support.browser import CHROMIUM, Page, browser
from tests.support.jobs import JOB, Account, account, job
from tests.support.lacking import NOT_RUN
from tests.support.people import People

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason=f"{NOT_RUN}Chromium is missing: `apt-get install chromium`"
    ),
]
VIEWS = {
    "": "Chunks by copies",
    "nodes": "node-1",
    "jobs": "corpus@1",
    f"jobs/{JOB}": "Chunks, as traces tell",
    "topology": "Round trips",
    "events": "Events",
}


@pytest.fixture
async def ann(tmp_path: Path) -> AsyncIterator[Account]:
    async with account(People(tmp_path / "people"), tmp_path, 2, lambda jobs: [jobs]) as found:
        await found.jobs.set(job(blocked=["no room <b>anywhere</b>"]))
        yield found


@pytest.fixture
async def page(ann: Account, tmp_path: Path) -> AsyncIterator[Page]:
    async with served(Contexts(ann.env).load()) as there, browser(tmp_path / "browser") as found:
        await found.looks(1280, 900)
        await found.call("Page.navigate", url=there.keys.url)
        await found.until("document.querySelector('.verdict')")
        yield found


async def test_every_view_fits_every_size_and_the_console_is_quiet(page: Page) -> None:
    for view, shown in VIEWS.items():
        await page.run(f"location.hash = '#/{view}'")
        said = shown.replace("node-1", "node-2")
        await page.until(f"document.body.innerText.includes({said!r})")
        for width in (1280, 390):
            for dark in (False, True):
                await page.looks(width, 844, dark=dark)
                assert not await page.run("document.documentElement.scrollWidth > innerWidth"), view
    assert page.wrong == []


async def test_what_a_cluster_says_is_text_and_never_a_page(page: Page) -> None:
    await page.until("document.body.innerText.includes('no room <b>anywhere</b>')")
    assert not await page.run(
        "[...document.querySelectorAll('b')].some((one) => one.innerText === 'anywhere')"
    )


async def test_a_job_is_cancelled_after_a_question_that_is_answered(
    ann: Account, page: Page
) -> None:
    def cancelled() -> bool:
        return any(isinstance(one, job_pb2.CancelJobRequest) for one in ann.jobs.asked)

    await page.run(f"location.hash = '#/jobs/{JOB}'")
    await page.until("document.querySelector('[data-act=cancel]')")
    await page.run("document.querySelector('[data-act=cancel]').click()")
    await page.until("document.getElementById('ask').open")
    assert await page.run("document.activeElement.id") == "ask-no"
    await page.run("document.activeElement.click()")
    await page.until("!document.getElementById('ask').open")
    assert not cancelled()
    await page.run("document.querySelector('[data-act=cancel]').click()")
    await page.run("document.getElementById('ask-yes').click()")
    await page.until("!document.getElementById('ask').open")
    assert cancelled()
