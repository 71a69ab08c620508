"""References to secrets: where one lies is configured and shown, what it says never is.

    file:/path  secret://file/path   a file that only its owner may read
    secret://systemd/NAME            a credential of the unit, in $CREDENTIALS_DIRECTORY
    env:NAME    secret://env/NAME    a variable of the daemon's environment
    anonymous                        none: public buckets
Empty is the cloud's own chain: the instance's role, the environment, the SDK's files. A reference
is read again whenever it is used, so whoever renews the file renews it in the middle of a job.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError

ANONYMOUS = "anonymous"
SECRET_BYTES_MAX = 64 << 10
_INI = re.compile(r"^\s*([a-z_]+)\s*[=:]\s*(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Secret:
    reference: str

    @property
    def chain(self) -> bool:
        return not self.reference

    @property
    def anonymous(self) -> bool:
        return self.reference == ANONYMOUS

    def read(self, env: Mapping[str, str] = os.environ) -> str:
        """The secret as it is now."""
        scheme, _, rest = self.reference.partition(":")
        if scheme == "secret":
            scheme, _, rest = rest.removeprefix("//").partition("/")
            rest = f"/{rest}" if scheme == "file" else rest
        match scheme:
            case "env":
                if not env.get(rest):
                    raise self._refused(f"the variable {rest} is not set for this daemon")
                return env[rest]
            case "file":
                return self._of_file(Path(rest), guarded=True)
            case "systemd":
                folder = env.get("CREDENTIALS_DIRECTORY", "")
                if not folder:
                    raise self._refused("this daemon has no $CREDENTIALS_DIRECTORY")
                return self._of_file(Path(folder) / rest, guarded=False)
        raise AssertionError(f"{self.reference!r} is no reference to a secret")

    def _of_file(self, path: Path, *, guarded: bool) -> str:
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                data = file.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise self._refused(f"{path} cannot be read: {error.strerror}") from None
        if guarded and mode & 0o077:
            what = f"others may read the credentials in {path} (mode {mode:04o})"
            raise McError("SECRET_EXPOSED", what, next=f"chmod 600 {path}")
        if len(data) > SECRET_BYTES_MAX:
            raise self._refused(f"{path} is larger than {SECRET_BYTES_MAX >> 10} KiB")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self._refused(f"{path} is no UTF-8 text") from None

    def malformed(self, wanted: str) -> McError:
        return self._refused(f"it does not hold {wanted}")

    def _refused(self, why: str) -> McError:
        what = f"the credentials {self.reference} are not to be had: {why}"
        return McError("NOT_ALLOWED", what, next="put them there, or correct the reference")


CHAIN = Secret("")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What S3 signs with. Its repr shows nothing."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return "AccessKey(***)"


def access_key(secret: Secret, env: Mapping[str, str] = os.environ) -> AccessKey:
    """As AWS writes it (`aws_access_key_id = …`, in JSON too), or `ID:SECRET` on one line."""
    text = secret.read(env).strip()
    found = {name.removeprefix("aws_"): value for name, value in _INI.findall(_flat(text))}
    if "access_key_id" in found and "secret_access_key" in found:
        token = found.get("session_token")
        return AccessKey(found["access_key_id"], found["secret_access_key"], token)
    key_id, _, rest = text.rpartition(":")
    if key_id and rest and not re.search(r"[\s={]", text):
        return AccessKey(key_id, rest)
    raise secret.malformed("aws_access_key_id = … and aws_secret_access_key = …")


def _flat(text: str) -> str:
    """JSON of AWS (`"SecretAccessKey": "…"`) as lines of its other form."""
    if not text.startswith("{"):
        return text
    pairs = re.findall(r'"([A-Za-z_]+)"\s*:\s*"([^"]*)"', text)
    lines = (
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() + f"={value}" for name, value in pairs
    )
    return "\n".join(lines)
