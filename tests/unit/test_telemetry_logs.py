"""Logs: one line, one event, its ids, and no secret; also what libraries say."""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import structlog

from nodeagent.config import model
from nodeagent.telemetry import Telemetry, logs
from nodeagent.telemetry.mask import masked
from nodeagent.telemetry.writer import LineWriter

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA\n-----END EC PRIVATE KEY-----\n"


class Written(io.StringIO):
    """What has been written, once the writer has caught up."""

    def getvalue(self) -> str:
        logs.flush()
        return super().getvalue()


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What is logged; the process is as before afterwards."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    stream = Written()
    logs.configure("info", "json", stream)
    yield stream
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raises
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_event_with_its_facts(out: io.StringIO) -> None:
    structlog.stdlib.get_logger("nodeagent.x").warning("peer_lost", peer="aws-b", silent_s=2.5)
    (line,) = lines(out)
    assert list(line)[:4] == ["ts", "level", "logger", "event"]
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "nodeagent.x",
        "event": "peer_lost",
        "peer": "aws-b",
        "silent_s": 2.5,
    }


def test_what_libraries_say_goes_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("grpc._cython").warning("handshake with %s failed", "1.2.3.4")
    try:
        raise ValueError(f"key was {PEM}")
    except ValueError:
        logging.getLogger("asyncio").exception("task failed")
    first, second = lines(out)
    assert (first["logger"], first["event"]) == ("grpc._cython", "handshake with 1.2.3.4 failed")
    assert "ValueError" in second["exception"]
    assert "MHcCAQEEIA" not in out.getvalue()


def test_a_line_inside_a_span_has_its_ids(out: io.StringIO) -> None:
    node = model.Node(id="a" * 16, name="n", cluster="c", cloud="aws", region="r")
    telemetry = Telemetry(model.Telemetry(), node, "1", Random(1))
    with telemetry.span("x") as span:
        structlog.stdlib.get_logger("a").info("inside")
    structlog.stdlib.get_logger("a").info("outside")
    inside, outside = lines(out)
    assert span.traceparent.startswith(f"00-{inside['trace_id']}-{inside['span_id']}-")
    assert "trace_id" not in outside


def test_the_level_changes_at_once_also_for_loggers_in_use(out: io.StringIO) -> None:
    log = structlog.stdlib.get_logger("a")
    log.debug("unheard")
    logs.set_level("debug")
    log.debug("heard")
    logs.set_level("error")
    log.warning("unheard")
    assert [line["event"] for line in lines(out)] == ["heard"]


@pytest.mark.parametrize("name", ["cluster_key", "api_Key", "token", "client_secret", "passphrase"])
def test_what_is_named_like_a_secret_is_masked(out: io.StringIO, name: str) -> None:
    log = structlog.stdlib.get_logger("a")
    log.info("x", **{name: "s3cret"}, deep={"a": [{name: b"s3cret"}]})
    assert "s3cret" not in out.getvalue()
    assert "733363726574" not in out.getvalue()


def test_a_key_in_any_text_is_masked(out: io.StringIO) -> None:
    log = structlog.stdlib.get_logger("a")
    event = f"event {PEM}"
    log.info(event, note=f"before {PEM} after", raw=PEM.encode(), cut=PEM[:45])
    assert "MHcCAQEEIA" not in out.getvalue()
    assert lines(out)[0]["note"] == "before ***\n after"


def test_nothing_from_outside_begins_a_line_of_its_own(out: io.StringIO) -> None:
    evil = 'x"}\n{"level":"info","event":"forged"}\u2028\x1b[2J'
    structlog.stdlib.get_logger("a").info("e", name=evil)
    assert len(out.getvalue().splitlines()) == 1
    assert lines(out)[0]["name"] == evil
    logs.configure("info", "text", out)
    structlog.stdlib.get_logger("a").info("e", name=evil)
    logging.getLogger("b").info(evil)
    assert len(out.getvalue().splitlines()) == 3
    assert "\x1b" not in out.getvalue()


def test_text_is_for_people(out: io.StringIO) -> None:
    logs.configure("info", "text", out)
    structlog.stdlib.get_logger("a").warning("peer_lost", peer="aws b", silent_s=2)
    line = out.getvalue()
    assert line.endswith('WARN peer_lost peer="aws b" silent_s=2\n')


def test_values_are_bounded_in_size_and_depth() -> None:
    assert len(masked("x", "a" * 1_000_000)) <= 4096
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert json.dumps(masked("x", loop))
    assert masked("keys_max", 5) == 5


def test_a_reader_that_stands_still_holds_nobody_up_and_learns_what_it_missed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as stream:
        handler = LineWriter(stream, lambda count: f"dropped {count}", lines_max=100)
        record = logging.makeLogRecord({"msg": "x" * 1000})
        started = time.monotonic()
        for _ in range(5000):  # Far more than a pipe holds.
            handler.handle(record)
        assert time.monotonic() - started < 2
        missed = told = 0
        while missed + told < 5000:
            line = reader.readline()
            told += line.startswith("x")
            missed += int(line.split()[1]) if line.startswith("dropped") else 0
        assert missed + told == 5000
        assert missed > 0
        handler.close()


def test_a_stream_that_is_gone_ends_nobody() -> None:
    stream = io.StringIO()
    handler = LineWriter(stream, str)
    stream.close()
    handler.handle(logging.makeLogRecord({"msg": "unheard"}))
    handler.flush()
    handler.close()


def test_a_value_that_cannot_be_shown_ends_nobody(out: io.StringIO) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    log = structlog.stdlib.get_logger("a")
    log.info("odd", value=Odd())
    log.info("next")
    assert lines(out)[-1]["event"] == "next"


def test_what_was_said_is_written_when_the_process_ends() -> None:
    code = (
        "import structlog; from nodeagent.telemetry import logs; logs.configure('info', 'json');"
        "log = structlog.stdlib.get_logger('a');"
        "[log.info('line', number=n) for n in range(3000)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert len(done.stdout.splitlines()) == 3000


def test_a_process_ends_although_nobody_reads_what_it_says() -> None:
    code = (
        "import structlog; from nodeagent.telemetry import logs; logs.configure('info', 'json');"
        "log = structlog.stdlib.get_logger('a');"
        "[log.info('line', text='x' * 1000) for n in range(3000)]"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        process.stdout.close()
