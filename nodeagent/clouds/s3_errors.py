"""What S3 and its SDK say when something fails, in our words: what, to what, why, what next."""

from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from botocore import exceptions as sdk
from urllib3.exceptions import HTTPError

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Place
from nodeagent.clouds.reply import retry_after_s, unreached
from nodeagent.clouds.way import Way

# The grant that a request needs; "" behind it: on the bucket and not on its objects.
_KEYS, _BUCKET = "/{key}", ""
GRANTS: Mapping[str, tuple[str, str]] = {
    "ListObjectsV2": ("s3:ListBucket", _BUCKET),
    "HeadBucket": ("s3:ListBucket", _BUCKET),
    "HeadObject": ("s3:GetObject", _KEYS),
    "GetObject": ("s3:GetObject", _KEYS),
    "PutObject": ("s3:PutObject", _KEYS),
    "CreateMultipartUpload": ("s3:PutObject", _KEYS),
    "UploadPart": ("s3:PutObject", _KEYS),
    "CompleteMultipartUpload": ("s3:PutObject", _KEYS),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", _KEYS),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads", _BUCKET),
    "DeleteObject": ("s3:DeleteObject", _KEYS),
}
_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
         "ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted"}  # fmt: skip
_SPOILT = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_UNKNOWN = {"InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "InvalidSecurity"}


def mapped(error: Exception, request: str, way: Way, place: Place, key: str) -> McError:
    match error:
        case McError():
            return error
        case sdk.ClientError():
            return _of_answer(error.response, request, way, place, key)
        case (
            sdk.NoCredentialsError()
            | sdk.PartialCredentialsError()
            | sdk.CredentialRetrievalError()
        ):
            what = f"this node has no credentials for {way.whom}"
            next_ = "give the machine a role, or name `credentials` in [clouds.endpoints]"
            return McError("NOT_ALLOWED", what, next=next_)
        case sdk.ParamValidationError():
            return McError("BAD_REQUEST", f"{refusals.uri(place, key)}: {error}")
        case sdk.BotoCoreError() | HTTPError() | HTTPException() | OSError():
            return unreached(way, error)
    what = f"{request} of {refusals.uri(place, key)} ended in {type(error).__name__}: {error}"
    return McError("INTERNAL", what[:500])


def _of_answer(
    answer: Mapping[str, Any], request: str, way: Way, place: Place, key: str
) -> McError:
    code = str(answer.get("Error", {}).get("Code", ""))
    said = str(answer.get("Error", {}).get("Message", ""))
    meta = answer.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    if status in (412, 416):  # What that means, only whoever asked knows.
        return McError(
            "FAILED", f"{refusals.uri(place, key)}: {code}", facts={"status": str(status)}
        )
    what = f"{way.whom} refused {request} of {refusals.uri(place, key)}: {code} {said}".rstrip()
    if code in _BUSY or status in (429, 503):
        wait_s = retry_after_s(meta.get("HTTPHeaders", {}))
        return McError(
            "TOO_BUSY", f"{way.whom} asks for patience: {code or status}", retry_after_s=wait_s
        )
    if code in _SPOILT:
        return refusals.spoilt(place, key, "checksum")
    if code in _EXPIRED or code in _UNKNOWN or status == 401:
        return _not_known(code, way, what)
    match status, code:
        case _, "NoSuchBucket":
            return refusals.no_bucket(place)
        case _, "InvalidObjectState":
            next_ = "restore it from its archive class first, then submit again"
            return McError("FAILED", f"{refusals.uri(place, key)} is archived", next=next_)
        case _, "NoSuchUpload":
            next_ = "put it again; look at the bucket's lifecycle rules when it happens often"
            return McError("FAILED", f"{what}: somebody ended the upload", next=next_)
        case 404, _:
            return refusals.not_found(place, key) if key else refusals.no_bucket(place)
        case _, "RequestTimeTooSkewed":
            next_ = "let this machine keep time with NTP: `timedatectl set-ntp true`"
            return McError("NOT_ALLOWED", f"this machine's clock is wrong: {what}", next=next_)
        case 403, _:
            return _not_granted(request, place, key, what)
        case 400, "RequestTimeout":
            return McError("STALLED", what)
        case ((500 | 502 | 504), _):
            return McError("UNREACHABLE", f"{way.whom} failed at {request}: {code or status}")
        case 501, _:
            return McError(
                "UNSUPPORTED",
                what,
                next="use another endpoint; `mcctl check` tells what this one can",
            )
        case status, _ if 300 <= status < 400:
            next_ = "correct url and region of the endpoint; redirects are not followed"
            return McError("FAILED", what, next=next_)
    return McError("FAILED", what)


def _not_known(code: str, way: Way, what: str) -> McError:
    expired = code in _EXPIRED
    why = "have expired" if expired else "are not known there"
    whose = way.credentials.reference or "the machine's own chain"
    next_ = f"renew them ({whose}); they are read anew for each request"
    return McError("NOT_ALLOWED", f"this node's credentials {why}: {what}", next=next_)


def _not_granted(request: str, place: Place, key: str, what: str) -> McError:
    action, below = GRANTS[request]
    resource = f"arn:aws:s3:::{place.bucket}" + below.format(key=key)
    grant = f"{action} on {resource}"
    next_ = f"grant this node {grant}"
    if request in ("HeadObject", "GetObject"):
        next_ += (
            f"; without s3:ListBucket on arn:aws:s3:::{place.bucket} a missing key looks the same"
        )
    facts = {"action": action, "resource": resource}
    return McError("NOT_ALLOWED", f"{what}: {grant} is missing", next=next_, facts=facts)
