"""Access keys: decided by the council, known to every node, their secrets kept nowhere.

A secret is made from the cluster's key and the key's id, so every node that can read a dataset can
check a signature, and whoever has the registers alone can forge none.
"""

import base64
import fnmatch
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from blake3 import blake3

from identity.names import NAME_RULE, is_name
from multicloud.errors import FieldFault, McError
from multicloud.v1 import access_pb2
from nodeagent.council.contract import Council
from nodeagent.s3.refusal import Refusal

KEYS = "access/"
READER, AUDITOR = ROLES = ("reader", "auditor")
KEYS_MAX = 1000  # That count at the same time.
GLOB_CHARS_MAX = 128
ID_BYTES = 10
KNOWN_S = 0.5  # The copy of the registers is looked at anew after this;
UNKNOWN_S = 0.05  # for a key that it did not have, after this.
_CONTEXT = "multicloud 2026-11 secret of an access key for S3"

Key = access_pb2.AccessKey


@dataclass(slots=True)
class AccessKeys:
    council: Council
    cluster_key: bytes | None = field(repr=False)  # None: this node reads nothing.
    clock_unix_s: Callable[[], float] = time.time
    clock_s: Callable[[], float] = time.monotonic
    _known: Mapping[str, Key] = field(default_factory=dict)
    _looked_s: float = float("-inf")

    def all(self) -> list[Key]:
        """By this node's copy."""
        found = (Key.FromString(register.value) for register in self.council.list(KEYS))
        return sorted(found, key=lambda key: (key.name, key.created_unix_ms, key.id))

    def standing(self, key_id: str) -> Key:
        """InvalidAccessKeyId unless it counts now."""
        age_s = self.clock_s() - self._looked_s
        if age_s > (KNOWN_S if key_id in self._known else UNKNOWN_S):
            self._known = {key.id: key for key in self.all()}
            self._looked_s = self.clock_s()
        key = self._known.get(key_id)
        if key is None:
            raise Refusal("InvalidAccessKeyId", f"there is no key {key_id}")
        if key.revoked_unix_ms:
            raise Refusal("InvalidAccessKeyId", f"the key {key_id} of {key.name} was revoked")
        if self.clock_unix_s() * 1000 > key.end_unix_ms:
            raise Refusal("InvalidAccessKeyId", f"the key {key_id} of {key.name} has expired")
        return key

    def secret(self, key_id: str) -> str:
        if self.cluster_key is None:
            said = "this node only stores: it has no cluster key, and makes and checks no keys"
            raise McError("KEY_MISSING", said, next="ask another node, with --node")
        digest = blake3(self.cluster_key + key_id.encode(), derive_key_context=_CONTEXT).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    async def issue(self, wanted: access_pb2.IssueKeyRequest) -> tuple[Key, str]:
        now_ms = int(self.clock_unix_s() * 1000)
        self._check(wanted, now_ms)
        key = Key(
            id=_id_of(wanted.request_id),
            name=wanted.name,
            role=wanted.role,
            datasets=wanted.datasets or "*",
            created_unix_ms=now_ms,
            end_unix_ms=wanted.end_unix_ms,
        )
        secret = self.secret(key.id)
        decided = await self.council.compare_and_set(
            KEYS + key.id, 0, key.SerializeToString(), f"issue-{key.id}"
        )
        return Key.FromString(decided.value or key.SerializeToString()), secret

    def _check(self, wanted: access_pb2.IssueKeyRequest, now_ms: int) -> None:
        faults = []
        if not is_name(wanted.name):
            faults.append(FieldFault("name", NAME_RULE))
        if wanted.role not in ROLES:
            faults.append(FieldFault("role", " or ".join(ROLES)))
        if len(wanted.datasets) > GLOB_CHARS_MAX:
            faults.append(FieldFault("datasets", f"at most {GLOB_CHARS_MAX} characters"))
        if wanted.end_unix_ms <= now_ms:
            faults.append(FieldFault("end_unix_ms", "in the future"))
        if faults:
            said = f"no such key can be issued: {'; '.join(map(str, faults))}"
            raise McError("BAD_REQUEST", said, faults=faults)
        if (
            sum(not key.revoked_unix_ms and key.end_unix_ms > now_ms for key in self.all())
            >= KEYS_MAX
        ):
            raise McError("TOO_LARGE", f"there are {KEYS_MAX} keys already; that is the most")

    async def revoke(self, key_id: str) -> Key:
        while True:
            register = await self.council.get(KEYS + key_id)
            if not register.version:
                said = f"there is no access key {key_id!r}"
                raise McError("NOT_FOUND", said, next="mcctl cluster keys")
            key = Key.FromString(register.value)
            if key.revoked_unix_ms:
                return key
            key.revoked_unix_ms = int(self.clock_unix_s() * 1000)
            decided = await self.council.compare_and_set(
                KEYS + key_id,
                register.version,
                key.SerializeToString(),
                f"revoke-{key_id}-{register.version}",
            )
            if decided.changed:
                return key


def may_see(key: Key, dataset: str) -> bool:
    return fnmatch.fnmatchcase(dataset, key.datasets)


def _id_of(request_id: str) -> str:
    """Twenty letters and digits, as AWS's; the same request has the same one."""
    seed = request_id.encode() if request_id else secrets.token_bytes(16)
    digest = blake3(b"access key " + seed).digest(ID_BYTES + 1)
    return "MC" + base64.b32encode(digest).decode()[:18]
