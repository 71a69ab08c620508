"""Clients of google-cloud-storage as our driver wants them: no retries, no redirects, keys anew.

Importing this imports the SDK, which takes most of a second: only `making` does, in a thread.
"""

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Client
from google.oauth2 import credentials as of_users
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

from multicloud.errors import McError
from nodeagent.clouds.contract import Place, Shape, Turns
from nodeagent.clouds.gcs import GcsBucket
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.way import Way

# What the SDK would tell of each request has its token in it.
logging.getLogger("google").setLevel(logging.WARNING)
logging.getLogger("urllib3").setLevel(logging.WARNING)

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_NO_PROJECT = "unused"  # Buckets are named without one.


async def connect(way: Way, threads: Threads) -> "GcsConnection":
    return GcsConnection(way, threads)


@dataclass(frozen=True, slots=True)
class Signed:
    """A client and the session below it, with one state of the credentials."""

    client: Any
    session: Any


class GcsConnection:
    def __init__(self, way: Way, threads: Threads) -> None:
        self._way = way
        self._threads = threads
        self._lock = threading.Lock()
        self._known: tuple[str, Signed] | None = None

    async def bucket(self, place: Place, shape: Shape, turns: Turns) -> GcsBucket:
        made = GcsBucket(place, self._way, self.signed, self._threads, shape=shape, turns=turns)
        await made.learn_region()
        return made

    async def close(self) -> None:
        if self._known is not None:
            await self._threads.run(self._known[1].client.close)
            self._known = None

    def signed(self) -> Signed:
        """Blocks. The secret is read each time; another one makes another client."""
        secret = self._way.credentials
        text = "" if secret.chain or secret.anonymous else secret.read()
        with self._lock:
            if self._known is None or self._known[0] != text:
                self._known = text, self._sign(text)
            return self._known[1]

    def _sign(self, text: str) -> Signed:
        session = AuthorizedSession(self._credentials(text))
        adapter = HTTPAdapter(pool_maxsize=self._way.requests_at_once_max, max_retries=0)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        session.max_redirects = 0
        if self._way.ca_file:
            session.verify = str(self._way.ca_file)
        options = {"api_endpoint": self._way.url} if self._way.url else None
        client = Client(_NO_PROJECT, session.credentials, _http=session, client_options=options)
        return Signed(client, session)

    def _credentials(self, text: str) -> Any:
        secret = self._way.credentials
        if secret.anonymous:
            return AnonymousCredentials()
        if secret.chain:
            return google.auth.default(scopes=[SCOPE])[0]
        try:
            info = json.loads(text)
            match info["type"]:
                case "service_account":
                    made = service_account.Credentials.from_service_account_info(info)
                    return made.with_scopes([SCOPE])
                case "authorized_user":
                    return of_users.Credentials.from_authorized_user_info(info, [SCOPE])
            return google.auth.load_credentials_from_dict(info, scopes=[SCOPE])[0]
        except McError:
            raise
        except Exception:  # noqa: BLE001  What it says may hold a part of the secret.
            raise secret.malformed("credentials as Google writes them, in JSON") from None
