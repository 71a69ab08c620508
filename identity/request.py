"""A node's request for its next certificate: possession of the new key, vouched for by the old one.

Requests may come by way of other nodes. Without the old key's word, a node on the way
could put its own key into the request and become the node that asked.
"""

import base64
import json
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from identity.certificate import Holder, parse, to_der
from identity.keys import PrivateKey, PublicKey, public_bytes, require_p256
from identity.names import Identity
from identity.signing import canonical, is_signed_by, sign
from identity.trust import verify_certificate
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

PURPOSE = "multicloud.v1 renewal request"
# Below the arc of UUIDs (2.25), so that it is ours without a registration.
VOUCHER_OID = x509.ObjectIdentifier("2.25.265238614091463519104253817230951687434")


@dataclass(frozen=True, slots=True)
class Renewal:
    """Who asks, with which certificate so far, for which key."""

    asker: Holder
    key: PublicKey


def renewal_request(new: PrivateKey, current: PrivateKey, certificate_pem: bytes) -> bytes:
    """A PKCS#10 request in PEM."""
    certificate = parse(certificate_pem)
    signature = sign(current, _vouched(new.public_key(), to_der(certificate)))
    voucher = {
        "certificate": base64.b64encode(to_der(certificate)).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "renewal")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_attribute(VOUCHER_OID, json.dumps(voucher).encode())
    return builder.sign(new, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_renewal(
    request_pem: bytes, expected: Identity, trust: peer_pb2.TrustBundle, now_unix_s: float
) -> Renewal:
    """The key to certify. UNTRUSTED unless the holder of a valid certificate of `expected` asks."""
    try:
        request = x509.load_pem_x509_csr(request_pem)
        proven = request.is_signature_valid
        key = require_p256(request.public_key(), "the request")
        fields = json.loads(request.attributes.get_attribute_for_oid(VOUCHER_OID).value)
        certificate = base64.b64decode(fields["certificate"], validate=True)
        signature = base64.b64decode(fields["signature"], validate=True)
    except (
        ValueError,
        TypeError,
        KeyError,
        UnsupportedAlgorithm,
        InvalidSignature,
        x509.AttributeNotFound,
    ) as error:
        raise _untrusted(expected, f"it cannot be read: {error}") from error
    asker = verify_certificate(certificate, trust, now_unix_s)
    if asker.identity != expected:
        raise _untrusted(expected, f"{asker.identity} has made it")
    if not proven or not is_signed_by(parse(certificate), _vouched(key, certificate), signature):
        raise _untrusted(expected, "the signatures on it are wrong")
    return Renewal(asker, key)


def _vouched(key: PublicKey, certificate_der: bytes) -> bytes:
    return canonical(PURPOSE, (public_bytes(key), certificate_der))


def _untrusted(expected: Identity, why: str) -> McError:
    return McError(
        "UNTRUSTED",
        f"the request for a certificate does not come from {expected}: {why}",
        next="look at the nodes between; or issue a new bundle: `mcctl cluster issue-node --again`",
    )
