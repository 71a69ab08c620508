"""Reads a bundle's fields by kind; whatever is wrong becomes BUNDLE_INVALID with the reason."""

import json
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from identity.files import read_secret
from identity.names import NAME_RULE, is_name
from multicloud.errors import McError

FORMAT_VERSION = 1

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def is_address(text: str) -> bool:
    found = _ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found[2]) < 1 << 16


def address_of(value: object, name: str) -> str:
    if not isinstance(value, str) or not is_address(value):
        raise ValueError(f"{name} needs host:port")
    return value


class Fields:
    """The fields of one bundle file. Inside its `with`, anything wrong is the bundle's fault."""

    def __init__(self, path: Path, form: str, issued_by: str) -> None:
        self._path = path
        self._form = form
        self._issued_by = issued_by
        self.raw: dict[str, Any] = {}

    def __enter__(self) -> "Fields":
        content = read_secret(self._path)
        try:
            self.raw = self._parsed(content)
        except (ValueError, RecursionError) as error:
            raise self._invalid(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, McError | KeyError | ValueError | TypeError):
            raise self._invalid(error) from error

    def _parsed(self, content: bytes) -> dict[str, Any]:
        raw = json.loads(content)
        form = raw.get("format") if isinstance(raw, dict) else None
        if form != self._form:
            raise ValueError(f"it is no {self._form} (format: {str(form)[:60]})")
        version = raw.get("format_version")
        if version != FORMAT_VERSION:
            said = f"its format version is {str(version)[:20]}, this reads {FORMAT_VERSION}"
            raise ValueError(said)
        assert isinstance(raw, dict)
        return raw

    def _invalid(self, error: Exception) -> McError:
        match error:
            case McError():
                why = error.message
            case KeyError():
                why = f"the field {error} is missing"
            case _:
                why = str(error)
        return McError(
            "BUNDLE_INVALID",
            f"{self._path} cannot be used: {why}",
            next=f"issue a new one: `{self._issued_by}`",
            facts={"path": str(self._path)},
        )

    def text(self, name: str) -> str:
        value = self.raw[name]
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a text")
        return value

    def name(self, name: str) -> str:
        value = self.text(name)
        if not is_name(value):
            raise ValueError(f"{name} is no name: {NAME_RULE}")
        return value

    def address(self, name: str) -> str:
        return address_of(self.raw[name], name)

    def flag(self, name: str) -> bool:
        value = self.raw[name]
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value

    def listed(self, name: str) -> list[Any]:
        value = self.raw[name]
        if not isinstance(value, list):
            raise ValueError(f"{name} must be a list")
        return value
