"""A receiver of webhooks that trusts nothing, and nodes' halves that send to it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aiohttp import web

from coordinator.types import View
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.config.model import Sink as Config
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.ops.events import EventLog
from nodeagent.sinks.collecting import Collecting
from nodeagent.sinks.contract import Sink
from nodeagent.sinks.making import sink_of
from nodeagent.sinks.outbox import Outbox
from nodeagent.sinks.sending import Sending
from nodeagent.sinks.standing import Standing
from tests.support.nodes import free_ports

KEY = bytes(range(32))


@dataclass
class Receiver:
    port: int
    got: list[dict[str, object]] = field(default_factory=list)
    forged: int = 0
    status: int = 204
    asked: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def kinds(self) -> list[object]:
        return [one["type"] for one in self.got]

    async def answer(self, request: web.Request) -> web.Response:
        """Verifies as the specification of Standard Webhooks says, with nothing of ours."""
        self.asked += 1
        body, head = await request.text(), request.headers
        told = f"{head['webhook-id']}.{head['webhook-timestamp']}.{body}".encode()
        made = base64.b64encode(hmac.new(KEY, told, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(head["webhook-timestamp"])) < 300
        if f"v1,{made}" not in head["webhook-signature"].split(" ") or not fresh:
            self.forged += 1
            return web.Response(status=401)
        if self.status < 300:
            event = json.loads(body)
            assert event["id"] == head["webhook-id"]
            self.got.append(event)
        return web.Response(status=self.status, headers={"Location": "http://169.254.169.254/"})


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(port or free_ports(1)[0])
    app = web.Application()
    app.router.add_post("/hook", receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", receiver.port).start()
        yield receiver
    finally:
        await runner.cleanup()


class Uncounted:
    def count(self, name: str, n: float = 1, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...


def hook(url: str, folder: Path) -> Sink:
    secret = folder / "secret"
    secret.write_text("whsec_" + base64.b64encode(KEY).decode())
    secret.chmod(0o600)
    config = Config(name="pager", kind="webhook", url=url, secret=f"file:{secret}", private=True)
    return sink_of(config, "node-1")


@dataclass
class Half:
    """What of one node tells events."""

    own: str
    folder: Path
    council: InMemoryCouncil
    sink: Sink
    away: set[str]

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.outbox = Outbox.open(self.folder, 1000)
        self.standing = Standing(self.council)
        self.log = EventLog()
        view = View(self.own, {})
        self.collecting = Collecting(
            self.council, self.log, lambda: view, self.outbox, {"pager": []}, "prod", time.time
        )
        self.sending = Sending(
            "pager",
            self.own,
            self.sink,
            self.outbox,
            self.standing,
            self.away.__contains__,
            time.time,
            Uncounted(),
            Random(1),
        )

    async def once(self) -> None:
        await self.collecting.look()
        await self.sending._once()

    async def hurried(self) -> None:
        self.sending._next_s = 0.0
        await self.once()


async def submitted(council: InMemoryCouncil, job: str) -> None:
    header = records_pb2.JobHeader(id=job, version="1", created_unix_ms=now_ms())
    header.spec.dataset = "corpus"
    await council.compare_and_set(f"job/{job}", 0, header.SerializeToString(), f"make-{job}")


async def done(council: InMemoryCouncil, job: str) -> None:
    register = await council.get(f"job/{job}")
    header = records_pb2.JobHeader.FromString(register.value)
    header.outcome.state = job_pb2.JOB_STATE_DONE
    header.outcome.ended_unix_ms = now_ms() + 1
    await council.compare_and_set(
        f"job/{job}", register.version, header.SerializeToString(), f"end-{job}"
    )


def now_ms() -> int:
    return int(time.time() * 1000)
