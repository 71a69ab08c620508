"""What options are made of: the kinds of values, with the words for them, and a section's rules."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)"
ADDRESS = rf"^{HOST}:{PORT}$"
LISTEN = rf"^{HOST}:(0|{PORT})$"
NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
NODE_ID = r"^[0-9a-f]{16}$"
ZONE = r"^([a-z0-9][a-z0-9._-]{0,62})?$"
HTTP = rf"^$|{LISTEN}"
FILE = r"^(/.+)?$"
ENDPOINT = r"^(https?://.+)?$"
OPTIONAL_NODE_ID = r"^([0-9a-f]{16})?$"
BUCKET = r"^((s3|gs)://[a-z0-9][a-z0-9._-]{1,253}|az://[a-z0-9]{3,24}/[a-z0-9][a-z0-9-]{1,62})(/[A-Za-z0-9._=-]+)*/?$"
BUCKET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{1,254}$"
LOOPBACK = re.compile(r"http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?(/|$)")
TOPIC = r"^[A-Za-z0-9._-]{0,200}$"
REGION = r"^[a-z0-9-]{0,63}$"
REFERENCE = r"^(|anonymous|(file:|secret://file)/.+|(env:|secret://env/)[A-Za-z_][A-Za-z0-9_]*|secret://systemd/[A-Za-z0-9._-]+)$"

# What a pattern asks for, in words.
WORDS = {
    ADDRESS: "host:port, such as 10.0.1.5:7443 or [::1]:7443",
    LISTEN: "host:port, such as 0.0.0.0:7443 or [::]:7443; port 0 takes any free one",
    NAME: "a name of 1 to 63 lower-case letters, digits, '.', '_', '-', not beginning with a mark",
    NODE_ID: "16 hex digits in lower case",
    ZONE: "empty, or a name of at most 63 lower-case letters, digits, '.', '_', '-'",
    HTTP: "host:port, such as 127.0.0.1:7480, or empty",
    OPTIONAL_NODE_ID: "empty, or 16 hex digits in lower case",
    BUCKET: "s3://BUCKET/prefix, gs://BUCKET/prefix or az://ACCOUNT/CONTAINER/prefix",
    FILE: "the absolute path of a file, or empty",
    ENDPOINT: "http://host:port or https://host:port, or empty",
    BUCKET_NAME: "a bucket's name, or ACCOUNT/CONTAINER",
    TOPIC: "at most 200 letters, digits, '.', '_', '-'",
    REGION: "a region as its cloud calls it, such as eu-central-1, or empty",
    REFERENCE: "file:/PATH, env:NAME, secret://systemd/NAME, anonymous, or empty for the cloud's own chain",
}


def _absolute(value: object) -> object:
    """Text becomes a path; a path has no working directory to be relative to."""
    if isinstance(value, str):
        value = Path(value)
    if not isinstance(value, Path) or not value.is_absolute() or ".." in value.parts:
        raise PydanticCustomError("absolute_path", "must be an absolute path without '..', such as /var/lib/multicloud")
    return value


Address = Annotated[str, StringConstraints(pattern=ADDRESS)]
ListenAddress = Annotated[str, StringConstraints(pattern=LISTEN)]
Name = Annotated[str, StringConstraints(pattern=NAME)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]


def option(default: Any, why: str, *, reload: bool = False, **limits: Any) -> Any:
    """An option of the configuration. `why` is one or two sentences for the person who edits it."""
    extra: JsonDict = {"reload": reload}
    return Field(default=default, description=why, json_schema_extra=extra, **limits)


def required(why: str, example: str, **limits: Any) -> Any:
    extra: JsonDict = {"reload": False}
    return Field(description=why, examples=[example], json_schema_extra=extra, **limits)


def unless(holds: bool, key: str, rule: str) -> None:
    """A rule between options; `key` is the one of this section that the fault names."""
    if not holds:
        raise PydanticCustomError("rule", "{rule}", {"key": key, "rule": rule})


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
