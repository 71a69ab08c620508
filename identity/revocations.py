"""The set of revocations that a node knows. It only grows, and may be read from any thread."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping

from identity.certificate import Holder
from identity.names import Identity
from identity.signing import canonical, is_signed_by, revocation_bytes
from identity.trust import cas
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

SERIAL_CHARS_MAX = 40
REASON_CHARS_MAX = 500

Key = tuple[str, str, int]


def key_of(revocation: peer_pb2.Revocation) -> Key:
    """What makes two revocations the same fact."""
    return revocation.identity, revocation.serial, revocation.revoked_unix_s


def voids(revocation: peer_pb2.Revocation, holder: Holder) -> bool:
    """Whether the revocation makes this certificate void."""
    if revocation.identity != holder.identity.uri:
        return False
    if revocation.serial:
        return revocation.serial == holder.serial
    return holder.not_before_unix_s <= revocation.revoked_unix_s


def verify_revocation(revocation: peer_pb2.Revocation, trust: peer_pb2.TrustBundle) -> None:
    """UNTRUSTED unless a CA that counts has signed it for an identity of this cluster."""
    try:
        identity = Identity.parse(revocation.identity)
    except McError as error:
        raise McError("UNTRUSTED", f"a revocation names no identity: {error.message}") from error
    serial_ok = len(revocation.serial) <= SERIAL_CHARS_MAX and all(
        char in "0123456789abcdef" for char in revocation.serial
    )
    if not serial_ok or len(revocation.reason) > REASON_CHARS_MAX or revocation.revoked_unix_s < 0:
        raise McError("UNTRUSTED", f"the revocation of {identity} is malformed")
    content = revocation_bytes(revocation)
    signed = any(is_signed_by(ca, content, revocation.signature) for ca in cas(trust))
    if identity.cluster != trust.cluster or not signed:
        raise McError(
            "UNTRUSTED",
            f"the revocation of {identity} is not signed by a CA of cluster {trust.cluster}"
            f" (trust version {trust.version})",
        )


def revocations_digest(revocations: Iterable[peer_pb2.Revocation]) -> bytes:
    """The same for the same set in any order, whoever signed its members."""
    keys = sorted({key_of(revocation) for revocation in revocations})
    fields = [field for key in keys for field in key]
    return hashlib.sha256(canonical("multicloud.v1 revocations", fields)).digest()


class RevocationSet:
    """Readers see one unchanging snapshot; a writer puts the next one in its place."""

    def __init__(self, known: Iterable[peer_pb2.Revocation] = ()) -> None:
        self._adding = threading.Lock()
        self._by_identity: Mapping[str, tuple[peer_pb2.Revocation, ...]] = {}
        self._digest = b""
        self._put({key_of(one): one for one in known}.values())

    @property
    def digest(self) -> bytes:
        """Equal for equal sets; `revocations_digest` of `all()`."""
        return self._digest

    def all(self) -> list[peer_pb2.Revocation]:
        return [one for some in self._by_identity.values() for one in some]

    def __len__(self) -> int:
        return sum(len(some) for some in self._by_identity.values())

    def revoked(self, holder: Holder) -> peer_pb2.Revocation | None:
        """The revocation that makes this certificate void, if there is one."""
        for one in self._by_identity.get(holder.identity.uri, ()):
            if voids(one, holder):
                return one
        return None

    def add_all(
        self, revocations: Iterable[peer_pb2.Revocation], trust: peer_pb2.TrustBundle
    ) -> list[peer_pb2.Revocation]:
        """Those that were new. UNTRUSTED, and none is added, when one of them is forged."""
        return self._add(revocations, trust, forged=_refuse)

    def merge(
        self, revocations: Iterable[peer_pb2.Revocation], trust: peer_pb2.TrustBundle
    ) -> list[peer_pb2.Revocation]:
        """Those that were new, from a peer: what no CA that counts has signed is left out.

        A peer that has not heard of a retired CA yet sends its revocations in good
        faith. They are moot: the certificates that they void went with that CA.
        """
        return self._add(revocations, trust, forged=_leave_out)

    def retain(self, trust: peer_pb2.TrustBundle) -> None:
        """After a CA has retired: forgets what it had signed, which went with it."""
        with self._adding:
            self._put(one for one in self.all() if _counts(one, trust))

    def _add(
        self,
        revocations: Iterable[peer_pb2.Revocation],
        trust: peer_pb2.TrustBundle,
        forged: Callable[[McError], None],
    ) -> list[peer_pb2.Revocation]:
        with self._adding:
            known = {key_of(one): one for one in self.all()}
            new: dict[Key, peer_pb2.Revocation] = {}
            for one in revocations:
                if key_of(one) in known or key_of(one) in new:
                    continue
                try:
                    verify_revocation(one, trust)
                except McError as error:
                    forged(error)
                    continue
                copy = peer_pb2.Revocation()
                copy.CopyFrom(one)  # The sender's message is not ours to keep.
                new[key_of(one)] = copy
            if new:
                self._put([*known.values(), *new.values()])
            return list(new.values())

    def _put(self, revocations: Iterable[peer_pb2.Revocation]) -> None:
        by_identity: dict[str, tuple[peer_pb2.Revocation, ...]] = {}
        every = sorted(revocations, key=key_of)
        for one in every:
            by_identity[one.identity] = (*by_identity.get(one.identity, ()), one)
        self._digest = revocations_digest(every)
        self._by_identity = by_identity


def _refuse(error: McError) -> None:
    raise error


def _leave_out(_: McError) -> None:
    pass


def _counts(revocation: peer_pb2.Revocation, trust: peer_pb2.TrustBundle) -> bool:
    try:
        verify_revocation(revocation, trust)
    except McError:
        return False
    return True
