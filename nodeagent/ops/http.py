"""/livez /readyz /metrics: a small HTTP server in threads of its own.

So it answers, with 503, also when an event loop is stuck. It knows nothing of files, takes
GET and HEAD only, and a few connections at once for a few seconds each.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import structlog

from multicloud.errors import McError

CONNECTIONS_MAX = 8
CONNECTION_S_MAX = 5.0
POLL_S = 0.25  # How soon `stop` is noticed.
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `why` and `next` speak when it is not ok."""

    name: str
    ok: bool
    why: str = ""
    next: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"[+]{self.name} ok"
        return f"[-]{self.name} {_one_line(self.why)}: {_one_line(self.next)}".rstrip(": ")


Checks = Callable[[], Sequence[Check]]


class HealthPage:
    """`live`, `ready` and `metrics` are called in its threads and must not wait for a loop."""

    def __init__(
        self,
        address: str,
        live: Checks,
        ready: Checks,
        metrics: Callable[[], bytes],
        connection_s_max: float = CONNECTION_S_MAX,
    ) -> None:
        self._address = address
        self._pages: dict[str, Callable[[bool], _Page]] = {
            "/livez": lambda verbose: _page_of(live(), verbose),
            "/readyz": lambda verbose: _page_of(ready(), verbose),
            "/metrics": lambda verbose: _Page(HTTPStatus.OK, METRICS_TYPE, metrics()),
        }
        self._connection_s_max = connection_s_max
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Listens; host:port as bound. ADDRESS_IN_USE when it cannot."""
        host, _, port = self._address.rpartition(":")
        host = host.strip("[]")
        try:
            self._server = _Server((host, int(port)), self._pages, self._connection_s_max)
        except OSError as error:
            raise McError(
                "ADDRESS_IN_USE", f"listen.http cannot be {self._address}: {error}"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="http", daemon=True
        )
        self._thread.start()
        bound = self._server.server_address
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{bound[1]}"

    def stop(self) -> None:
        """No thread and no socket is left. Blocks for a moment, not for a slow client."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()  # Joins the threads of its connections.
        self._server = None


@dataclass(frozen=True, slots=True)
class _Page:
    status: HTTPStatus
    content_type: str
    body: bytes


def _page_of(checks: Sequence[Check], verbose: bool) -> _Page:
    bad = [check for check in checks if not check.ok]
    status = HTTPStatus.SERVICE_UNAVAILABLE if bad else HTTPStatus.OK
    shown = list(checks) if verbose else bad
    lines = [*(str(check) for check in shown), "not ok" if bad else "ok"]
    return _Page(status, "text/plain; charset=utf-8", "\n".join(lines).encode() + b"\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(
        self,
        address: tuple[str, int],
        pages: dict[str, Callable[[bool], _Page]],
        connection_s_max: float,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.pages = pages
        self.connection_s_max = connection_s_max
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._open: dict[socket.socket, threading.Timer] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # One too many: closed at once, nobody waits.
            return
        # A timeout on the socket bounds each read; the timer bounds the connection.
        timer = threading.Timer(self.connection_s_max, _cut, (request,))
        timer.daemon = True
        with self._lock:
            self._open[request] = timer
        timer.start()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                timer = self._open.pop(request)
            timer.cancel()
            timer.join()
            self._free.release()

    def end_connections(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event of this node."""


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # It has ended by itself.


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def version_string(self) -> str:
        return "multicloud"  # Not which Python.

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.connection_s_max)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        page = self.server.pages.get(url.path)
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            found = page("verbose" in url.query.split("&"))
        except Exception:  # noqa: BLE001 A defect in any check is said, and is no silence.
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            _log.exception("health_page_failed", path=url.path)
            return
        self._send(found)

    def _send(self, page: _Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Plain text, and 405 for a method that is known nowhere here."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        body = f"{status.value} {status.phrase}\n".encode()
        self.close_connection = True
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes every few seconds are no events."""
