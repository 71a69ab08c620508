"""Who gets in: whoever has the address that the terminal printed, once; then a cookie of their own.

Pages of strangers are kept out by the Host they must name (DNS that points here), by a cookie that
other sites never send, and by the Origin of what changes something.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSIONS_MAX = 16
SESSION_S_MAX = 12 * 3600.0
OPEN_PATH = "/open/"
SAFE_METHODS = ("GET", "HEAD")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
CLOSED = (
    "This dashboard is open to whoever has the address that `mcctl dashboard` printed.\n"
    "Each address opens one browser; the terminal shows the next one.\n"
)


@dataclass(slots=True)
class Keys:
    """The token of the next browser, and the sessions of those that came in."""

    port: int
    renewed: Callable[[str], None] = lambda url: None  # Told the address of the next browser.
    now_s: Callable[[], float] = time.monotonic
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _sessions: dict[bytes, float] = field(default_factory=dict, repr=False)  # Until when.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{OPEN_PATH}{self._token}"

    @property
    def cookie(self) -> str:
        """Cookies do not know of ports, so the name does."""
        return f"mc_dashboard_{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def exchange(self, token: str) -> str | None:
        """A session for the token, which is none from then on."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        self._token = secrets.token_urlsafe(32)
        session = secrets.token_urlsafe(32)
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(min(self._sessions, key=self._sessions.__getitem__))
        self._sessions[_digest(session)] = self.now_s() + SESSION_S_MAX
        self.renewed(self.url)
        return session

    def knows(self, session: str) -> bool:
        return self._sessions.get(_digest(session), 0.0) > self.now_s()


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode()).digest()


@dataclass(slots=True)
class Door:
    """In front of every page and answer."""

    app: ASGIApp
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # There are no web sockets here; the server refuses them.

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """None lets it in."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self.keys.hosts:
            return PlainTextResponse(f"{self.keys.hosts[0]} is the name of this server\n", 421)
        if scope["method"] not in SAFE_METHODS and headers.get("origin") != f"http://{host}":
            return PlainTextResponse("only pages of this server may ask for that\n", 403)
        path: str = scope["path"]
        if path.startswith(OPEN_PATH):
            return self._opened(path.removeprefix(OPEN_PATH), scope["method"])
        session = cookie_parser(headers.get("cookie", "")).get(self.keys.cookie, "")
        return None if self.keys.knows(session) else PlainTextResponse(CLOSED, 401)

    def _opened(self, token: str, method: str) -> Response:
        session = self.keys.exchange(token) if method == "GET" else None
        if session is None:
            return PlainTextResponse(CLOSED, 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.keys.cookie, session, httponly=True, samesite="strict", path="/")
        return answer
