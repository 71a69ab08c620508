"""Which CAs count, what they have signed, and how one trust bundle follows another.

A new bundle replaces the current one only when it is of the same cluster, newer, and
signed by a CA that counts already: nobody can slip a CA in, nobody can go back.
"""

from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from identity.certificate import Holder, check_time, parse, read_holder, to_pem
from identity.names import is_name
from identity.signing import is_signed_by, trust_bytes
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

CAS_MAX = 8


@lru_cache(maxsize=64)
def _ca(der: bytes) -> x509.Certificate:
    certificate = parse(der)
    try:
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension) as error:
        raise McError("UNTRUSTED", "a certificate of the trust bundle is no CA") from error
    if not limits.ca:
        raise McError("UNTRUSTED", "a certificate of the trust bundle is no CA")
    return certificate


def cas(trust: peer_pb2.TrustBundle) -> list[x509.Certificate]:
    """The CAs that count, the one that issues last."""
    return [_ca(der) for der in trust.ca_certificates]


def ca_pem(trust: peer_pb2.TrustBundle) -> bytes:
    """The CAs that count as gRPC takes them."""
    return b"".join(to_pem(ca) for ca in cas(trust))


def check_trust(trust: peer_pb2.TrustBundle) -> None:
    """UNTRUSTED when it is no trust bundle at all. Says nothing about who signed it."""
    if not is_name(trust.cluster) or trust.version < 1:
        raise McError("UNTRUSTED", "the trust bundle names no cluster or no version")
    if not 1 <= len(trust.ca_certificates) <= CAS_MAX:
        count = len(trust.ca_certificates)
        raise McError("UNTRUSTED", f"the trust bundle has {count} CAs; it needs 1 to {CAS_MAX}")
    try:
        cas(trust)
    except McError as error:
        raise McError("UNTRUSTED", f"the trust bundle is damaged: {error.message}") from error


def verify_trust(new: peer_pb2.TrustBundle, current: peer_pb2.TrustBundle) -> None:
    """UNTRUSTED unless `new` may replace `current`."""
    check_trust(new)
    if new.cluster != current.cluster:
        raise McError(
            "UNTRUSTED",
            f"the trust bundle is of cluster {new.cluster}, this is {current.cluster}",
        )
    if new.version <= current.version:
        raise McError(
            "UNTRUSTED",
            f"the trust bundle has version {new.version}, and version {current.version} counts"
            " already: there is no way back",
        )
    if not any(is_signed_by(ca, trust_bytes(new), new.signature) for ca in cas(current)):
        raise McError(
            "UNTRUSTED",
            f"the trust bundle {new.version} of {new.cluster} is not signed by a CA that counts"
            f" in version {current.version}",
        )


def issuer_of(
    certificate: x509.Certificate, trust: peer_pb2.TrustBundle
) -> x509.Certificate | None:
    """The CA of the bundle that has issued the certificate."""
    for ca in cas(trust):
        try:
            certificate.verify_directly_issued_by(ca)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ca
    return None


def verify_certificate(
    pem_or_der: bytes, trust: peer_pb2.TrustBundle, now_unix_s: float | None = None
) -> Holder:
    """Who holds it, when a CA that counts has issued it for this cluster.

    Without a time the validity is not looked at.
    """
    certificate = parse(pem_or_der)
    holder = read_holder(certificate)
    if holder.identity.cluster != trust.cluster or issuer_of(certificate, trust) is None:
        raise McError(
            "UNTRUSTED",
            f"the certificate of {holder.identity} ({holder.label}) is not from a CA of cluster"
            f" {trust.cluster} (trust version {trust.version})",
            next="issue it with this cluster's authority: `mcctl cluster issue-node`",
        )
    if now_unix_s is not None:
        check_time(holder, now_unix_s)
    return holder
