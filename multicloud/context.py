"""Contexts: who an operator is in a cluster, and which nodes to ask first.

A context is a private folder below `$XDG_CONFIG_HOME/multicloud/contexts`; the file
`current` beside them names the one that is meant when nobody says otherwise.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from multicloud.credentials import Credentials
from multicloud.errors import McError
from multicloud.files import (
    make_private_folder,
    read_public,
    read_secret,
    write_public,
    write_secret,
)

# Key and certificate in one file: whoever reads during a renewal gets a pair that fits.
OPERATOR, TRUST, ABOUT = "operator.pem", "trust.json", "context.json"
CURRENT = "current"
_BEGIN = b"-----BEGIN CERTIFICATE-----"
CONTEXT_VARIABLE = "MC_CONTEXT"
# Dollars above which `mcctl submit` asks first: what nobody wants to spend by a wrong path.
CONFIRM_USD_DEFAULT = 10.0

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node that may be asked first. Without an id it is asked who it is before it is trusted."""

    id: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Context:
    name: str
    cluster: str
    endpoints: tuple[Endpoint, ...]
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    trust_json: bytes  # As identities write it; here only its CAs are read.
    confirm_usd: float = CONFIRM_USD_DEFAULT

    @property
    def ca_pem(self) -> bytes:
        try:
            return "".join(json.loads(self.trust_json)["ca_certificates"]).encode()
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self.name, f"{TRUST}: {error}") from error

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.certificate_pem, self.key_pem, self.ca_pem)


def config_home(env: Mapping[str, str]) -> Path:
    """Where everything of an operator lives."""
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "multicloud"


class Contexts:
    """The contexts of one operator's account."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self.home = config_home(env)
        self._folder = self.home / "contexts"
        self._from_env = env.get(CONTEXT_VARIABLE, "")

    def names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.parent.name for path in self._folder.glob(f"*/{ABOUT}"))

    def current(self) -> str:
        """The name that counts when none is given: MC_CONTEXT, else the chosen one, else none."""
        return self._from_env or self._chosen()

    def load(self, name: str | None = None) -> Context:
        """The named context, or the current one. NO_CONTEXT when there is none."""
        chosen = name or self.current()
        if not chosen:
            raise McError("NO_CONTEXT", f"no cluster is chosen{self._known()}")
        folder = self._of(chosen)
        try:
            about = json.loads(read_public(folder / ABOUT))
            endpoints = tuple(
                Endpoint(str(e["id"]), str(e["name"]), str(e["address"]))
                for e in about["endpoints"]
            )
            cluster = str(about["cluster"])
            confirm_usd = float(about.get("confirm_usd", CONFIRM_USD_DEFAULT))
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(chosen, f"{ABOUT}: {error}") from error
        key, begin, certificate = read_secret(folder / OPERATOR).partition(_BEGIN)
        if not begin:
            raise _damaged(chosen, f"{OPERATOR} holds no certificate")
        return Context(
            name=chosen,
            cluster=cluster,
            endpoints=endpoints,
            certificate_pem=_BEGIN + certificate,
            key_pem=key,
            trust_json=read_public(folder / TRUST),
            confirm_usd=confirm_usd,
        )

    def save(self, context: Context) -> None:
        """Writes it whole; makes it the current one only when none is."""
        if _NAME.fullmatch(context.name) is None:
            raise McError("USAGE", f"{context.name!r} is no name for a context")
        make_private_folder(self.home)
        folder = self._folder / context.name
        make_private_folder(folder)
        # Trust first: a renewed certificate may be of a CA that only the newer one lists.
        write_public(folder / TRUST, context.trust_json)
        write_secret(folder / OPERATOR, context.key_pem + context.certificate_pem)
        about = {
            "cluster": context.cluster,
            "endpoints": [
                {"id": e.id, "name": e.name, "address": e.address} for e in context.endpoints
            ],
            "confirm_usd": context.confirm_usd,
        }
        write_public(folder / ABOUT, json.dumps(about, indent=1).encode() + b"\n")
        if not self._chosen():
            self.use(context.name)

    def use(self, name: str) -> None:
        self._of(name)
        write_public(self.home / CURRENT, name.encode() + b"\n")

    def remove(self, name: str) -> None:
        folder = self._of(name)
        if self._chosen() == name:
            (self.home / CURRENT).unlink(missing_ok=True)
        (folder / ABOUT).unlink()  # First, so that half a context is none.
        shutil.rmtree(folder)

    def _chosen(self) -> str:
        """A choice whose context is gone is none."""
        path = self.home / CURRENT
        name = read_public(path).decode(errors="replace").strip() if path.exists() else ""
        return name if name in self.names() else ""

    def _of(self, name: str) -> Path:
        if name not in self.names():
            raise McError("NO_CONTEXT", f"there is no context {name!r}{self._known()}")
        return self._folder / name

    def _known(self) -> str:
        return f"; there is {', '.join(known)}" if (known := self.names()) else ""


def _damaged(name: str, why: str) -> McError:
    return McError(
        "CONFIG_INVALID",
        f"the context {name} is damaged: {why}",
        next=f"`mcctl context remove {name}`, then import its bundle again",
    )
