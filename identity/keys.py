"""Private keys of identities: ECDSA P-256, in PEM, and what fits them."""

import secrets

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from multicloud.errors import McError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_node_id() -> str:
    return secrets.token_hex(8)


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_key(pem: bytes, *, what: str = "the key") -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's words may quote the input; a key's bytes stay out of messages.
        raise McError("NO_IDENTITY", f"{what} is not an unencrypted private key in PEM") from error
    if not isinstance(key, PrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise McError("NO_IDENTITY", f"{what} is not an ECDSA P-256 key")
    return key


def public_bytes(key: PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fits(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Whether the certificate is for this key."""
    theirs = certificate.public_key()
    return isinstance(theirs, PublicKey) and public_bytes(theirs) == public_bytes(key.public_key())


def read_csr(pem: bytes) -> PublicKey:
    """The key that a request proves to possess."""
    try:
        request = x509.load_pem_x509_csr(pem)
        proven = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise McError(
            "BAD_REQUEST", f"the certificate request cannot be read: {error}", next="ask again"
        ) from error
    if not proven:
        raise McError("BAD_REQUEST", "the certificate request is not signed by its own key")
    return require_p256(key, "the certificate request")


def require_p256(key: object, what: str) -> PublicKey:
    if not isinstance(key, PublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise McError("BAD_REQUEST", f"{what} is not for an ECDSA P-256 key")
    return key
