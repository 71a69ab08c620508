"""AWS Signature Version 4, in headers and in presigned URLs: what a request claims, and whether its
signature is that of a secret. Pure.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from nodeagent.s3.asked import Asked, encoded
from nodeagent.s3.refusal import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_S_MAX = 15 * 60
EXPIRES_S_MAX = 7 * 24 * 3600
SIGNED_HEADERS_MAX = 64
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
_STREAMING = "STREAMING-"  # Hashes of chunks of a body; a reading request has none.

_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9]{1,128})/(?P<date>\d{8})/(?P<region>[a-z0-9-]{1,64})/s3/aws4_request"
)
_HEX = re.compile(r"[0-9a-f]{64}")
_HEADER = re.compile(r"[a-z0-9-]{1,128}")
_FIELDS = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^,\s]+)\s*,\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+)\s*,\s*Signature=(?P<signature>[^,\s]+)"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, and how it is signed."""

    key_id: str
    date: str
    region: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str  # 20260131T235959Z
    expires_s: int | None  # Of a presigned URL.
    payload: str


def claim_of(asked: Asked) -> Claim:
    """AccessDenied where nothing is claimed at all."""
    header = asked.headers.get("authorization")
    presigned = asked.has("X-Amz-Signature") or asked.has("X-Amz-Algorithm")
    if header is not None and presigned:
        raise Refusal("BadRequest", "signed twice: in a header and in the query")
    if header is not None:
        return _of_header(asked, header)
    if presigned:
        return _of_query(asked)
    said = "requests are signed, by Signature Version 4: `mcctl cluster issue-key` issues a key"
    raise Refusal("AccessDenied", said)


def _of_header(asked: Asked, header: str) -> Claim:
    malformed = "AuthorizationHeaderMalformed"
    found = _FIELDS.fullmatch(header.strip())
    if found is None:
        said = f"Authorization is not like `{ALGORITHM} Credential=…, SignedHeaders=…, Signature=…`"
        raise Refusal(malformed, said)
    payload = asked.headers.get("x-amz-content-sha256", "")
    if payload not in (EMPTY_SHA256, UNSIGNED) and not payload.startswith(_STREAMING):
        if _HEX.fullmatch(payload):
            said = "x-amz-content-sha256 is of a body, and this request has none"
            raise Refusal("XAmzContentSHA256Mismatch", said)
        raise Refusal("InvalidArgument", "x-amz-content-sha256 is missing or malformed")
    time = asked.headers.get("x-amz-date", "")
    parts = (found["credential"], found["headers"], found["signature"])
    return _claim(asked, *parts, time, None, payload, malformed)


def _of_query(asked: Asked) -> Claim:
    malformed = "AuthorizationQueryParametersError"
    if asked.parameter("X-Amz-Algorithm") != ALGORITHM:
        raise Refusal(malformed, f"X-Amz-Algorithm must be {ALGORITHM}")
    text = asked.parameter("X-Amz-Expires")
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= EXPIRES_S_MAX:
        raise Refusal(malformed, f"X-Amz-Expires must be 1 to {EXPIRES_S_MAX} seconds")
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    if len([key for key, _ in asked.query if key == b"X-Amz-Signature"]) != 1:
        raise Refusal(malformed, "X-Amz-Signature must be there once")
    credential, headers, signature, time = (asked.parameter(name) for name in names)
    return _claim(asked, credential, headers, signature, time, int(text), UNSIGNED, malformed)


def _claim(
    asked: Asked,
    credential: str,
    headers: str,
    signature: str,
    time: str,
    expires_s: int | None,
    payload: str,
    malformed: str,
) -> Claim:
    scope = _CREDENTIAL.fullmatch(credential)
    if scope is None:
        said = "the credential is not like KEY/YYYYMMDD/REGION/s3/aws4_request"
        raise Refusal(malformed, said)
    names = tuple(headers.split(";"))
    if len(names) > SIGNED_HEADERS_MAX or not all(map(_HEADER.fullmatch, names)):
        raise Refusal(malformed, "the signed headers are not a list of names in lower case")
    if not _HEX.fullmatch(signature):
        raise Refusal(malformed, "the signature is not 64 hex digits")
    if not time.startswith(scope["date"]):
        raise Refusal(malformed, "the date of the credential is not that of the request")
    unsigned = {name for name in asked.headers if name.startswith("x-amz-")} - set(names)
    if "host" not in names or unsigned:
        left = ", ".join(sorted(unsigned | ({"host"} - set(names))))
        raise Refusal("AccessDenied", f"there are headers that were not signed: {left}")
    return Claim(
        scope["key"], scope["date"], scope["region"], names, signature, time, expires_s, payload
    )


def check_time(claim: Claim, now_unix_s: float) -> None:
    try:
        signed = datetime.strptime(claim.time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refusal("AccessDenied", "x-amz-date is not like 20260131T235959Z") from error
    age_s = now_unix_s - signed.timestamp()
    late = age_s > (SKEW_S_MAX if claim.expires_s is None else claim.expires_s)
    if claim.expires_s is not None and late:
        raise Refusal("AccessDenied", f"the URL was good for {claim.expires_s} s, until it expired")
    if late or age_s < -SKEW_S_MAX:
        said = f"the request was signed {abs(age_s):.0f} s {'ago' if late else 'in the future'}; "
        raise Refusal("RequestTimeTooSkewed", f"{said}clocks may differ by {SKEW_S_MAX} s")


def check_signature(claim: Claim, asked: Asked, secret: str) -> None:
    if not hmac.compare_digest(signature_of(claim, asked, secret), claim.signature):
        said = "the signature is not that of the key's secret: check the secret, and that no proxy"
        raise Refusal("SignatureDoesNotMatch", f"{said} changes the path or the host")


def signature_of(claim: Claim, asked: Asked, secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/s3/aws4_request"
    canonical = hashlib.sha256(_canonical(claim, asked).encode("latin-1")).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join((ALGORITHM, claim.time, scope, canonical))
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(claim: Claim, asked: Asked) -> str:
    pairs = sorted(
        (encoded(key), encoded(value)) for key, value in asked.query if key != b"X-Amz-Signature"
    )
    headers = "".join(
        f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in claim.signed_headers
    )
    return "\n".join(
        (
            asked.method,
            encoded(asked.path, safe="/"),
            "&".join(f"{key}={value}" for key, value in pairs),
            headers,
            ";".join(claim.signed_headers),
            claim.payload,
        )
    )
