"""Who is at an address, and why a connection to it failed, in a sentence that says what to do."""

import asyncio
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc

from multicloud.credentials import Credentials
from multicloud.errors import McError

TLS_CLOSE_S = 0.5

# X509_V_ERR_* of OpenSSL, as `SSLCertVerificationError.verify_code`.
_NOT_YET_VALID, _EXPIRED = 9, 10


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that somebody has shown, issued by a CA that counts."""

    der: bytes
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]


async def who_is(address: str, credentials: Credentials, timeout_s: float) -> bytes:
    """The certificate (DER) of whoever is at the address, once a CA that counts has issued it.

    It does not insist on a name, so nothing can be asked yet. It shows its own certificate:
    whoever shows none stands in the other's audit log as refused.
    """
    return (await shown_by(address, credentials, timeout_s)).der


async def shown_by(address: str, credentials: Credentials, timeout_s: float) -> Shown:
    host, port = split(address)
    try:
        async with asyncio.timeout(timeout_s):
            return await _handshake(host, port, _context(credentials), timeout_s)
    except TimeoutError as error:
        raise McError(
            "UNREACHABLE",
            f"{address} gave no answer within {timeout_s:g} s",
            next="is the host up, and does its firewall let this port through?",
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(address, error) from error
    except (ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError) as error:
        raise McError(
            "UNREACHABLE",
            f"what listens at {address} does not speak TLS as a node does: {_reason(error)}",
            next="check the port: a node's API is 7443 unless configured otherwise",
        ) from error
    except ConnectionRefusedError as error:
        raise McError(
            "UNREACHABLE",
            f"nothing listens at {address}: the connection was refused",
            next="is the daemon running there? `systemctl status nodeagentd`",
        ) from error
    except OSError as error:
        raise McError(
            "UNREACHABLE",
            f"{address} cannot be reached: {error.strerror or error}",
            next="check the address, the name and the route",
        ) from error


async def _handshake(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> Shown:
    _, writer = await asyncio.open_connection(
        host,
        port,
        ssl=context,
        server_hostname="",
        ssl_handshake_timeout=timeout_s,
        ssl_shutdown_timeout=TLS_CLOSE_S,
    )
    try:
        channel = writer.get_extra_info("ssl_object")
        der = channel.getpeercert(binary_form=True)
        names = (channel.getpeercert() or {}).get("subjectAltName", ())
        assert der, "a verified handshake has a certificate"
        return Shown(
            der,
            tuple(value for kind, value in names if kind == "DNS"),
            tuple(value for kind, value in names if kind == "URI"),
        )
    finally:
        writer.transport.abort()  # Nothing was asked, so there is nothing to end well.


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # To learn the name is the purpose.
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=credentials.ca_pem.decode("ascii"))
    _show(context, credentials.certificate_pem + credentials.key_pem)
    context.set_alpn_protocols(["h2"])
    return context


def _show(context: ssl.SSLContext, certificate_and_key: bytes) -> None:
    """OpenSSL takes a key from a file only; where the system allows, one that is in no folder."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("identity", os.MFD_CLOEXEC), "wb") as file:
            file.write(certificate_and_key)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return
    with tempfile.NamedTemporaryFile() as file:  # 0600, and gone with the block.
        file.write(certificate_and_key)
        file.flush()
        context.load_cert_chain(file.name)


def _untrusted(address: str, error: ssl.SSLCertVerificationError) -> McError:
    if error.verify_code == _EXPIRED:
        return McError(
            "CERTIFICATE_EXPIRED",
            f"the certificate of the node at {address} has expired",
            next="`mcctl cluster renew`, or issue the node a new bundle if it does not start",
        )
    if error.verify_code == _NOT_YET_VALID:
        return McError(
            "CERTIFICATE_EXPIRED",
            f"the certificate of the node at {address} is not valid yet",
            next="set the clock right, here or where it was issued",
        )
    return McError(
        "WRONG_PEER",
        f"who answers at {address} is not of this cluster: no CA that counts has issued its"
        f" certificate ({error.verify_message})",
    )


async def diagnose(
    address: str, dns_name: str, credentials: Credentials, timeout_s: float
) -> McError:
    """Why `dns_name` cannot be reached at the address. Looks for itself: gRPC's words are vague."""
    try:
        shown = await shown_by(address, credentials, timeout_s)
    except McError as error:
        return error
    if dns_name not in shown.dns_names:
        found = ", ".join(shown.uris) or "somebody without a name"
        return McError("WRONG_PEER", f"at {address} is {found}, not {dns_name}")
    return _own_fault(credentials.certificate_pem) or McError(
        "UNREACHABLE",
        f"{dns_name} answers at {address} but ends the connection: it does not accept this"
        " certificate, or it has as many connections as it takes",
        next="is your certificate of this cluster's current CA? An admin can issue a new one",
    )


def _own_fault(certificate_pem: bytes) -> McError | None:
    from cryptography import x509  # 40 ms that only a failure pays.

    own = x509.load_pem_x509_certificate(certificate_pem)
    now = datetime.now(UTC)
    if now > own.not_valid_after_utc:
        said = f"your own certificate has expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        return McError("CERTIFICATE_EXPIRED", said)
    if now < own.not_valid_before_utc:
        begins = f"{own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return McError(
            "CERTIFICATE_EXPIRED",
            f"your own certificate is not valid before {begins}, the clock here says"
            f" {now:%Y-%m-%d %H:%M}",
            next="set the clock right",
        )
    return None


# What gRPC says, in the order in which it is looked for, and what that means.
_SAID: tuple[tuple[str, str, str], ...] = (
    ("Hostname Verification", "WRONG_PEER", "is another node than the one that is meant"),
    ("not in peer certificate", "WRONG_PEER", "is another node than the one that is meant"),
    ("certificate has expired", "CERTIFICATE_EXPIRED", "shows a certificate that has expired"),
    ("not yet valid", "CERTIFICATE_EXPIRED", "shows a certificate that is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", "WRONG_PEER", "shows a certificate of no CA that counts"),
    ("WRONG_VERSION_NUMBER", "UNREACHABLE", "does not speak TLS"),
    ("Connection refused", "UNREACHABLE", "refuses connections: nothing listens there"),
    ("errors resolving", "UNREACHABLE", "is a name that cannot be resolved"),
    ("Handshake read failed", "UNREACHABLE", "does not finish the TLS handshake"),
    ("Socket closed", "UNREACHABLE", "ended the connection: does it accept this certificate?"),
)


def explain(error: grpc.aio.AioRpcError, address: str) -> McError:
    """gRPC's own words for a failed connection, as an error of ours. See `diagnose` for more."""
    said = error.details() or ""
    for part, reason, meaning in _SAID:
        if part in said:
            return McError(reason, f"{address} {meaning}")
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return McError("UNREACHABLE", f"{address} gave no answer in time")
    return McError("UNREACHABLE", f"{address} cannot be reached: {said or error.code().name}")


def split(address: str) -> tuple[str, int]:
    """host and port of host:port or [v6]:port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise McError("USAGE", f"{address!r} is no address: host:port is needed")
    return host.strip("[]"), int(port)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "reason", "") or error or type(error).__name__)
    return text.replace("_", " ").lower()
