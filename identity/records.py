"""Trust and revocations as JSON files: what people can read, and the files of an identity."""

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from identity.certificate import parse, to_der, to_pem
from identity.trust import cas, check_trust
from multicloud.errors import McError
from multicloud.v1 import peer_pb2

FORMAT = 1


def trust_fields(trust: peer_pb2.TrustBundle) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cluster": trust.cluster,
        "version": trust.version,
        "ca_certificates": [to_pem(ca).decode() for ca in cas(trust)],
        "signature": base64.b64encode(trust.signature).decode(),
    }


def trust_of(fields: Any) -> peer_pb2.TrustBundle:
    """The bundle of such fields, checked for what it says and not for who signed it."""
    try:
        _check_format(fields)
        trust = peer_pb2.TrustBundle(
            cluster=fields["cluster"],
            version=fields["version"],
            ca_certificates=[to_der(parse(pem.encode())) for pem in fields["ca_certificates"]],
            signature=base64.b64decode(fields["signature"], validate=True),
        )
    except (KeyError, ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise McError("UNTRUSTED", f"the trust bundle cannot be read: {_said(error)}") from error
    check_trust(trust)
    return trust


def revocation_fields(revocation: peer_pb2.Revocation) -> dict[str, Any]:
    return {
        "identity": revocation.identity,
        "serial": revocation.serial,
        "revoked_unix_s": revocation.revoked_unix_s,
        "reason": revocation.reason,
        "signature": base64.b64encode(revocation.signature).decode(),
    }


def revocation_of(fields: Any) -> peer_pb2.Revocation:
    try:
        return peer_pb2.Revocation(
            identity=fields["identity"],
            serial=fields["serial"],
            revoked_unix_s=fields["revoked_unix_s"],
            reason=fields["reason"],
            signature=base64.b64decode(fields["signature"], validate=True),
        )
    except (KeyError, ValueError, TypeError, binascii.Error) as error:
        raise McError("UNTRUSTED", f"a revocation cannot be read: {_said(error)}") from error


def trust_json(trust: peer_pb2.TrustBundle) -> bytes:
    return _dump(trust_fields(trust))


def read_trust_json(content: bytes) -> peer_pb2.TrustBundle:
    return trust_of(_load(content, "the trust bundle"))


def revocations_json(revocations: Iterable[peer_pb2.Revocation]) -> bytes:
    return _dump({"format": FORMAT, "revocations": [revocation_fields(one) for one in revocations]})


def read_revocations_json(content: bytes) -> list[peer_pb2.Revocation]:
    fields = _load(content, "the list of revocations")
    try:
        _check_format(fields)
        return [revocation_of(one) for one in fields["revocations"]]
    except (KeyError, TypeError, ValueError) as error:
        said = f"the list of revocations cannot be read: {_said(error)}"
        raise McError("UNTRUSTED", said) from error


def _check_format(fields: Any) -> None:
    if fields["format"] != FORMAT:
        raise ValueError(f"its format is {str(fields['format'])[:20]}, known is {FORMAT}")


def _said(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)


def _dump(fields: Any) -> bytes:
    return json.dumps(fields, indent=1).encode() + b"\n"


def _load(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise McError("UNTRUSTED", f"{what} is not JSON: {error}") from error
