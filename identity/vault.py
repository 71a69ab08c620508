"""One file of secrets behind a passphrase: scrypt, then AES-256-GCM.

Nothing of it is readable without the passphrase, and a changed byte is noticed.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from identity.files import read_secret, write_secret
from multicloud.errors import McError

FORMAT = "multicloud vault 1"
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1  # 64 MiB and about 0.2 s a guess.
SCRYPT_COST_MAX = (SCRYPT_N * SCRYPT_R, 4)  # A forged header must not eat the memory.
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32


class Vault:
    """An unlocked vault. It keeps the derived key, never the passphrase."""

    def __init__(self, path: Path, header: Mapping[str, int | str], key: bytes, secret: bytes):
        self._path = path
        self._header = dict(header)
        self._key = key
        self.secret = secret

    def __repr__(self) -> str:
        return f"Vault({str(self._path)!r})"

    @staticmethod
    def create(path: Path, passphrase: str, secret: bytes) -> "Vault":
        salt = os.urandom(SALT_BYTES)
        header: dict[str, int | str] = {
            "format": FORMAT,
            "n": SCRYPT_N,
            "r": SCRYPT_R,
            "p": SCRYPT_P,
            "salt": base64.b64encode(salt).decode(),
        }
        vault = Vault(path, header, _derive(passphrase, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P), b"")
        vault.replace(secret)
        return vault

    @staticmethod
    def open(path: Path, passphrase: str) -> "Vault":
        content = read_secret(path)
        try:
            fields = json.loads(content)
            header = {name: fields[name] for name in ("format", "n", "r", "p", "salt")}
            n, r, p = int(fields["n"]), int(fields["r"]), int(fields["p"])
            salt, nonce, sealed = (
                base64.b64decode(fields[name], validate=True)
                for name in ("salt", "nonce", "sealed")
            )
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise _damaged(path, "it does not read as one") from error
        n_r_max, p_max = SCRYPT_COST_MAX
        if fields["format"] != FORMAT:
            raise _damaged(path, f"its format is {str(fields['format'])[:40]!r}, not {FORMAT!r}")
        sane = n > 1 and n & (n - 1) == 0 and r > 0 and p > 0
        if not sane or n * r > n_r_max or p > p_max or len(nonce) != NONCE_BYTES:
            raise _damaged(path, "its parameters are out of range")
        key = _derive(passphrase, salt, n, r, p)
        try:
            secret = AESGCM(key).decrypt(nonce, sealed, _bound(header))
        except InvalidTag as error:
            raise McError(
                "PASSPHRASE_WRONG",
                f"{path} does not open: the passphrase is wrong, or the file was changed",
            ) from error
        return Vault(path, header, key, secret)

    def replace(self, secret: bytes) -> None:
        """Seals the new secret under the same passphrase, in one durable step."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, secret, _bound(self._header))
        fields = {
            **self._header,
            "nonce": base64.b64encode(nonce).decode(),
            "sealed": base64.b64encode(sealed).decode(),
        }
        write_secret(self._path, json.dumps(fields, indent=1).encode() + b"\n")
        self.secret = secret


def _derive(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(passphrase.encode())


def _bound(header: Mapping[str, int | str]) -> bytes:
    """The header is authenticated with the secret."""
    return json.dumps(dict(header), sort_keys=True, separators=(",", ":")).encode()


def _damaged(path: Path, why: str) -> McError:
    return McError(
        "CONFIG_INVALID",
        f"{path} is not a vault: {why}",
        next="restore it from your backup of the authority's folder",
        facts={"path": str(path)},
    )
