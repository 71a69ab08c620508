"""The dashboard's server: who gets in, what it answers, what it lets whom do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import TypeAdapter

from mcctl.web.asking import Cluster
from mcctl.web.door import Keys
from mcctl.web.motion import Motion
from mcctl.web.openapi import API, OPERATIONS
from mcctl.web.serving import bound, serve
from multicloud.client import Client
from multicloud.context import Context, Contexts
from multicloud.v1 import job_pb2
from tests.support.jobs import JOB, Account, account, ending, job
from tests.support.people import People

ME = f"{API}/me"
CANCEL = f"{API}/jobs/{JOB}/cancel"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
async def ann(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    folder = tmp_path_factory.mktemp("dashboard")
    async with account(people, folder, 1, lambda jobs: [jobs]) as found:
        await found.jobs.set(job(stages=[job_pb2.StageProgress(stage="ingest", bytes_done=3)]))
        yield found


@dataclass
class Served:
    keys: Keys
    browser: aiohttp.ClientSession
    at: str

    async def comes_in(self) -> None:
        async with self.browser.get(self.keys.url) as page:
            assert page.status == 200
            assert "multicloud" in await page.text()

    async def gets(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.browser.get(self.at + path, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text

    async def posts(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.browser.post(self.at + path, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json else text


@asynccontextmanager
async def served(context: Context, *, read_only: bool = False) -> AsyncIterator[Served]:
    """As `mcctl dashboard` serves it, but in this loop and without signals."""
    listening = bound(0)
    cluster = Cluster(context, lambda: Client(context), read_only=read_only)
    keys, ended = Keys(listening.getsockname()[1]), asyncio.Event()
    jar = aiohttp.CookieJar(unsafe=True)  # That takes cookies of an address without a name.
    async with aiohttp.ClientSession(cookie_jar=jar) as browser, asyncio.TaskGroup() as group:
        group.create_task(serve(cluster, listening, keys, ended))
        try:
            yield Served(keys, browser, f"http://127.0.0.1:{keys.port}")
        finally:
            ended.set()


@pytest.fixture(scope="module")
async def page(ann: Account) -> AsyncIterator[Served]:
    async with served(Contexts(ann.env).load()) as found:
        await found.comes_in()
        yield found


def as_(ann: Account, people: People, role: str) -> Context:
    who = people.operator("bob", role)
    context = Contexts(ann.env).load()
    return replace(context, certificate_pem=who.certificate_pem, key_pem=who.key_pem)


async def test_nothing_is_shown_without_a_cookie_and_a_token_opens_one_browser(
    ann: Account,
) -> None:
    async with served(Contexts(ann.env).load()) as found:
        for path in ("/", ME, f"{API}/live", "/static/app.js", "/open/wrong"):
            assert (await found.gets(path))[0] == 401, path
        first = found.keys.url
        await found.comes_in()
        assert (await found.gets(ME))[0] == 200
        found.browser.cookie_jar.clear()
        async with found.browser.get(first) as again:
            assert again.status == 401
        assert found.keys.url != first


async def test_the_cookie_is_kept_from_scripts_and_other_sites(ann: Account) -> None:
    async with served(Contexts(ann.env).load()) as found:
        async with found.browser.get(found.keys.url, allow_redirects=False) as answer:
            said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said


async def test_a_foreign_name_that_points_here_is_refused_with_a_good_cookie(page: Served) -> None:
    assert (await page.gets(ME, Host=f"evil.example:{page.keys.port}"))[0] == 421
    assert (await page.gets(ME, Host="127.0.0.1:1"))[0] == 421
    assert (await page.gets(ME))[0] == 200


async def test_what_changes_something_is_only_taken_from_the_own_pages(
    ann: Account, page: Served
) -> None:
    ann.jobs.asked.clear()
    assert (await page.posts(CANCEL))[0] == 403
    assert (await page.posts(CANCEL, Origin="http://evil.example"))[0] == 403
    assert not any(isinstance(one, job_pb2.CancelJobRequest) for one in ann.jobs.asked)


async def test_pages_load_nothing_from_elsewhere_and_have_no_code_inside(page: Served) -> None:
    async with page.browser.get(page.at + "/") as answer:
        policy = answer.headers["content-security-policy"]
        html = await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in html
    static = Path(__file__).parents[2] / "mcctl" / "web" / "static"
    for path in static.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
        assert "innerHTML" not in text, path


async def test_every_answer_is_as_its_openapi_says(page: Served) -> None:
    _, said = await page.gets(f"{API}/openapi.json")
    by_path = {(f"{API}{one.path}", one.method.lower()): one for one in OPERATIONS}
    assert {(path, how) for path, found in said["paths"].items() for how in found} == set(by_path)
    tried = []
    for (path, how), one in by_path.items():
        if how == "get" and one.shape and one.id != "getTrace":  # No job with traces runs here.
            status, answer = await page.gets(path.format(node="node-1", job=JOB))
            assert status == 200, (path, answer)
            TypeAdapter(one.shape).validate_python(answer, strict=True)
            tried.append(one.id)
    assert len(tried) == 8
    refs = {ref for ref in json.dumps(said).split('"') if ref.startswith("#/components/")}
    assert {ref.rpartition("/")[2] for ref in refs} <= set(said["components"]["schemas"])


async def test_what_is_wrong_is_said_with_its_reason_and_what_to_do_next(page: Served) -> None:
    status, said = await page.gets(f"{API}/jobs/nosuchjob")
    assert (status, said["reason"]) == (404, "NOT_FOUND")
    assert said["next"]
    assert (await page.gets(f"{API}/jobs/{JOB}/trace?chunk=x"))[0] == 400


async def test_news_come_as_they_happen(ann: Account, page: Served) -> None:
    async with page.browser.get(f"{page.at}{API}/live") as news:
        heard: dict[str, Any] = {}
        async with asyncio.timeout(20):
            topic = ""
            async for line in news.content:
                kind, _, rest = line.decode().strip().partition(": ")
                topic = rest if kind == "event" else topic
                if kind == "data":
                    heard[topic] = json.loads(rest)
                if set(heard) == {"status", "jobs", "links", "events"}:
                    break
    assert heard["status"]["answer"]["verdict"]["word"] in ("safe", "counting")
    assert heard["jobs"]["answer"][0]["job"] == JOB


async def test_a_look_is_all_that_an_auditor_gets_and_all_that_read_only_gives(
    ann: Account, people: People
) -> None:
    ann.jobs.asked.clear()
    looks = ((as_(ann, people, "auditor"), False), (Contexts(ann.env).load(), True))
    for context, read_only in looks:
        async with served(context, read_only=read_only) as found:
            await found.comes_in()
            _, me = await found.gets(ME)
            status, said = await found.posts(CANCEL, Origin=found.at)
        assert me["may"] == []
        assert (status, said["reason"]) == (403, "NOT_ALLOWED")
    assert not any(isinstance(one, job_pb2.CancelJobRequest) for one in ann.jobs.asked)


async def test_who_may_cancels_a_job_and_the_node_has_it_in_its_audit_log(
    ann: Account, page: Served
) -> None:
    status, said = await page.posts(CANCEL, Origin=page.at)
    assert status == 200, said
    code, lines, _ = await ann.types("audit", "show", "node-1", "-o", "json")
    assert code == 0
    assert "CancelJob" in lines
    await ann.jobs.set(job())


async def test_the_command_prints_the_address_and_ends_with_0_on_ctrl_c(ann: Account) -> None:
    process = await ann.starts("dashboard")
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(url) as answer:
                assert answer.status == 200
        process.send_signal(2)
        code, _, errors = await ending(process)
        assert (code, "the next one" in errors) == (0, True)
    finally:
        if process.returncode is None:
            process.kill()


def test_work_that_goes_on_moves_and_work_that_stands_is_said_to_wait() -> None:
    def seen(debt: int, done: int = -1) -> dict[str, Any]:
        counts = {"objects_listed": 1, "bytes_in": done, "chunks_acked": 0, "chunks_safe": 0}
        one = {"job": "a", "state": "running", "stages": [], **counts}
        return {"repair_debt": {"chunks": debt}, "jobs": [one] if done >= 0 else []}

    motion = Motion()
    assert motion.of(seen(0), 0.0)["state"] == "idle"
    assert motion.of(seen(5), 1.0)["state"] == "unknown"
    assert motion.of(seen(2), 5.0)["sentence"].endswith("3 fewer chunks are short of copies.")
    assert motion.of(seen(2, 0), 6.0)["state"] == "moving"
    assert motion.of(seen(2, 9), 7.0)["state"] == "moving"
    for at_s in (40.0, 80.0, 120.0):
        found = motion.of(seen(2, 9), at_s)
    assert found["state"] == "waiting"
