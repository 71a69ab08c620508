"""The health page: right answers, bounded connections, nothing left behind."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from multicloud.errors import McError
from nodeagent.ops.http import CONNECTIONS_MAX, Check, Checks, HealthPage

OK = Check("audit", True)
BAD = Check("loop", False, "the main loop has not answered for 12 s", "restart the daemon")


@contextmanager
def page(live: Checks = lambda: [OK], ready: Checks = lambda: [OK]) -> Iterator[str]:
    health = HealthPage("127.0.0.1:0", live, ready, lambda: b"up 1.0\n", connection_s_max=1.0)
    address = health.start()
    try:
        yield address
    finally:
        health.stop()


def ask(address: str, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode(), response
    finally:
        connection.close()


def test_when_all_is_well_it_says_ok_and_verbose_lists_each_check() -> None:
    with page() as address:
        status, body, response = ask(address, "/livez")
        assert (status, body, response.headers["Server"]) == (200, "ok\n", "multicloud")
        assert ask(address, "/readyz?verbose")[:2] == (200, "[+]audit ok\nok\n")
        status, body, response = ask(address, "/metrics")
        assert (status, body) == (200, "up 1.0\n")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_what_is_not_ok_is_named_with_what_to_do() -> None:
    with page(ready=lambda: [OK, BAD]) as address:
        line = "[-]loop the main loop has not answered for 12 s: restart the daemon\n"
        assert ask(address, "/readyz")[:2] == (503, f"{line}not ok\n")
        assert ask(address, "/readyz?verbose")[:2] == (503, f"[+]audit ok\n{line}not ok\n")
        assert ask(address, "/livez")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/etc/passwd", "/../../etc/passwd", "/livez/", "/metrics/x", "/%2e%2e/", "//x"]
)
def test_there_is_nothing_else(path: str) -> None:
    with page() as address:
        assert ask(address, path)[:2] == (404, "404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_only_get_and_head_are_allowed(method: str) -> None:
    with page() as address:
        status, _, response = ask(address, "/livez", method)
        assert (status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_and_no_body() -> None:
    with page() as address:
        status, body, response = ask(address, "/livez", "HEAD")
        assert (status, body, response.headers["Content-Length"]) == (200, "", "3")


def test_silent_and_slow_clients_are_cut_off_and_others_served_again() -> None:
    with page() as address:
        host, port = address.split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS_MAX * 4)]
        started = time.monotonic()
        with idle[0] as slow:  # One byte now and then keeps a socket's own timeout from firing.
            while time.monotonic() - started < 10:
                try:
                    slow.sendall(b"G")
                    if slow.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
                finally:
                    slow.settimeout(0.05)
        assert time.monotonic() - started < 5
        assert _answers_within(address, 5)
        for connection in idle[1:]:
            connection.close()


def _answers_within(address: str, bound_s: float) -> bool:
    end = time.monotonic() + bound_s
    while time.monotonic() < end:
        try:
            return ask(address, "/livez")[0] == 200
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    return False


def test_garbage_is_answered_with_an_error_and_harms_nobody() -> None:
    with page() as address:
        host, port = address.split(":")
        for garbage in (b"\x16\x03\x01" + b"\x00" * 300 + b"\n", b"GET " + b"a" * 70_000, b"\n\n"):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        assert _answers_within(address, 5)


def test_it_leaves_no_thread_and_no_socket() -> None:
    before = set(threading.enumerate())
    with page() as address:
        host, port = address.split(":")
        waiting = socket.create_connection((host, int(port)))
        assert ask(address, "/livez")[0] == 200
        started = time.monotonic()
    assert time.monotonic() - started < 3
    assert set(threading.enumerate()) == before
    waiting.close()
    with socket.create_server((host, int(port))):  # The port is free again.
        pass


def test_a_taken_port_is_a_typed_error() -> None:
    with page() as address:
        with pytest.raises(McError) as refused:
            HealthPage(address, lambda: [], lambda: [], lambda: b"").start()
        assert refused.value.reason == "ADDRESS_IN_USE"


def test_a_defect_in_a_check_is_a_500_and_not_a_silence() -> None:
    def defect() -> list[Check]:
        raise RuntimeError("boom")

    with page(live=defect) as address:
        assert ask(address, "/livez")[:2] == (500, "500 Internal Server Error\n")
