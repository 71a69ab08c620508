"""What S3 clients are told: a table of codes, and which of our errors is which of them."""

from collections.abc import Mapping
from typing import Final

from multicloud.errors import McError

STATUS: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadRequest": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidRange": 416,
    "InvalidURI": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}
# Answers to who asked: they belong into the audit log.
DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
_PASSING = ("COPIES_MISSING", "NO_MAJORITY", "STARTING", "DRAINING", "UNREACHABLE", "DEADLINE")


class Refusal(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, STATUS[code]


def of_error(error: McError, missing: str = "NoSuchKey") -> Refusal:
    """`missing` is what NOT_FOUND means where it came from."""
    said = f"{error.message}; next: {error.next}"
    if error.reason == "NOT_FOUND":
        return Refusal(missing, said)
    if error.reason == "TOO_BUSY":
        return Refusal("SlowDown", said)
    if error.reason in _PASSING:
        return Refusal("ServiceUnavailable", said)
    if error.reason == "KEY_MISSING":
        return Refusal("AccessDenied", said)
    return Refusal("InternalError", f"{said} [{error.reason}]")
