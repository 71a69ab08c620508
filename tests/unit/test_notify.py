"""What systemd receives, on a real datagram socket."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodeagent.ops.notify import Notifier, watchdog_interval_s


@pytest.fixture(params=["path", "abstract"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, socket.socket]]:
    name = f"@multicloud-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(5)
        yield name, systemd


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda n: n.ready(), b"READY=1"),
        (lambda n: n.ready("listening on\n7443"), b"READY=1\nSTATUS=listening on 7443"),
        (lambda n: n.reloading(17), b"RELOADING=1\nMONOTONIC_USEC=17"),
        (lambda n: n.stopping("draining"), b"STOPPING=1\nSTATUS=draining"),
        (lambda n: n.status("3 peers"), b"STATUS=3 peers"),
        (lambda n: n.watchdog(), b"WATCHDOG=1"),
        (lambda n: n.extend_timeout(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
    ],
)
def test_each_call_is_one_datagram(
    listening: tuple[str, socket.socket], call: Callable[[Notifier], bool], received: bytes
) -> None:
    address, systemd = listening
    assert call(Notifier(address))
    assert systemd.recv(4096) == received


def test_without_systemd_it_says_that_nothing_was_sent(tmp_path: Path) -> None:
    assert not Notifier.of({}, 1).ready()
    assert not Notifier(str(tmp_path / "nobody")).ready()


def test_a_full_socket_does_not_hold_up_the_daemon(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        sent = 0
        while Notifier(address).watchdog():
            sent += 1
            assert sent < 100_000
    assert sent > 0


@pytest.mark.parametrize(
    ("env", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked_and_only_by_its_process(
    env: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(env, 7) == interval_s
