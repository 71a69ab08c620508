"""Events to brokers: librdkafka's mock cluster, and a real NATS server where there is one."""

import asyncio
import shutil
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from multicloud.errors import McError
from nodeagent.config.model import Sink as Config
from nodeagent.sinks.making import sink_of
from nodeagent.sinks.outbox import Letter
from tests.support.nodes import free_ports

LETTER = Letter(b"\1\2", 5, "job.done", b'{"type":"job.done"}')


async def test_kafka_has_an_event_with_its_id_and_kind() -> None:
    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    brokers = (await asyncio.to_thread(cluster.list_topics, timeout=10)).brokers
    server = next(f"{broker.host}:{broker.port}" for broker in brokers.values())
    sink = sink_of(
        Config(name="k", kind="kafka", servers=[server], topic="mc", tls=False), "node-1"
    )
    try:
        await sink.send(LETTER)
    finally:
        await sink.close()
    reader = Consumer(
        {"bootstrap.servers": server, "group.id": "t", "auto.offset.reset": "earliest"}
    )
    reader.subscribe(["mc"])
    found = await asyncio.to_thread(reader.poll, 20.0)
    await asyncio.to_thread(reader.close)
    assert found is not None
    assert found.value() == LETTER.body
    assert dict(found.headers()) == {"id": b"evt_0102", "type": b"job.done"}


@pytest.mark.parametrize("kind", ["kafka", "nats"])
async def test_a_broker_that_is_down_is_named(kind: str) -> None:
    server = f"127.0.0.1:{free_ports(1)[0]}"
    config = Config.model_validate(
        {"name": "b", "kind": kind, "servers": [server], "topic": "mc", "tls": False}
    )
    with pytest.raises(McError, match=server) as refused:
        await sink_of(config, "node-1").send(LETTER)
    assert refused.value.reason == "UNREACHABLE"


@pytest.mark.skipif(
    not shutil.which("nats-server"),
    reason="not run: no nats-server in the path: apt-get install nats-server",
)
async def test_jetstream_keeps_an_event_once_however_often_it_is_sent(tmp_path: Path) -> None:
    import nats

    port = free_ports(1)[0]
    command = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path)]
    quiet = asyncio.subprocess.DEVNULL
    server = await asyncio.create_subprocess_exec(
        "nats-server", *command, stdout=quiet, stderr=quiet
    )
    address = f"127.0.0.1:{port}"
    try:
        link = await nats.connect(f"nats://{address}")
        await link.jetstream().add_stream(name="MC", subjects=["mc.>"])
        sink = sink_of(
            Config(name="n", kind="nats", servers=[address], topic="mc", tls=False), "node-1"
        )
        await sink.send(LETTER)
        await sink.send(LETTER)
        state = (await link.jetstream().stream_info("MC")).state
        assert state.messages == 1
        await sink.close()
        await link.close()
    finally:
        server.terminate()
        await server.wait()
