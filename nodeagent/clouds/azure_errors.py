"""What Azure's storage and its SDK say when something fails: what, to what, why, what next."""

from collections.abc import Mapping

from aiohttp import ClientError
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Place
from nodeagent.clouds.reply import retry_after_s, unreached
from nodeagent.clouds.way import Way

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_READER, _CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"
# The action that a request needs, and the smallest role that has it.
GRANTS: Mapping[str, tuple[str, str]] = {
    "ListBlobs": (f"{_BLOBS}/read", _READER),
    "HeadBlob": (f"{_BLOBS}/read", _READER),
    "GetBlob": (f"{_BLOBS}/read", _READER),
    "PutBlob": (f"{_BLOBS}/write", _CONTRIBUTOR),
    "PutBlock": (f"{_BLOBS}/write", _CONTRIBUTOR),
    "PutBlockList": (f"{_BLOBS}/write", _CONTRIBUTOR),
    "DeleteBlob": (f"{_BLOBS}/delete", _CONTRIBUTOR),
}
_EXISTS = {"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"}
_SPOILT = {"Md5Mismatch", "InvalidMd5", "Crc64Mismatch"}

_UNKNOWN = {
    "AuthenticationFailed",
    "AuthorizationFailure",  # Also where the account's network rules keep this node out.
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
}


def mapped(error: Exception, request: str, way: Way, place: Place, key: str) -> McError:
    match error:
        case McError():
            return error
        case HttpResponseError() if error.status_code:
            return _of_answer(error, request, way, place, key)
        case ClientAuthenticationError():
            whose = way.credentials.reference or "the machine's own chain"
            what = f"this node's credentials for {way.whom} are not to be had"
            next_ = f"give the machine a managed identity, or renew {whose}"
            return McError("NOT_ALLOWED", what, next=next_)
        case ServiceRequestError() | ServiceResponseError() | ClientError() | OSError():
            return unreached(way, error)
        case AzureError() if "mismatch" in str(error).lower():
            return refusals.spoilt(place, key, "MD5")
        case AzureError():
            return unreached(way, error)
    what = f"{request} of {refusals.uri(place, key)} ended in {type(error).__name__}: {error}"
    return McError("INTERNAL", what[:500])


def _of_answer(error: HttpResponseError, request: str, way: Way, place: Place, key: str) -> McError:
    status = int(error.status_code or 0)
    code = _code(error)
    first = str(error.message).partition("\n")[0][:200]
    said = f"{status} {code or first}"
    what = f"{way.whom} refused {request} of {refusals.uri(place, key)}: {said}"
    if code in _SPOILT or (status == 400 and "md5" in first.lower()):
        return refusals.spoilt(place, key, "MD5")
    if code in _EXISTS or status in (412, 416):  # What that means, only whoever asked knows.
        facts = {"status": "412" if code in _EXISTS else str(status)}
        return McError("FAILED", what, facts=facts)
    match status, code:
        case ((429 | 503), _):
            wait_s = retry_after_s(getattr(error.response, "headers", {}))
            return McError(
                "TOO_BUSY", f"{way.whom} asks for patience: {said}", retry_after_s=wait_s
            )
        case 404, "ContainerNotFound":
            return refusals.no_bucket(place)
        case 404, _:
            return refusals.not_found(place, key) if key else refusals.no_bucket(place)
        case ((401 | 403), _) if status == 401 or code in _UNKNOWN:
            return _not_known(way, what)
        case 403, _:
            return _not_granted(request, place, key, what)
        case 409, "BlobArchived":
            next_ = "bring it back from its archive tier first, then submit again"
            return McError("FAILED", f"{refusals.uri(place, key)} is archived", next=next_)
        case 408, _:
            return McError("STALLED", what)
        case ((500 | 502 | 504), _):
            return McError("UNREACHABLE", f"{way.whom} failed at {request}: {said}")
        case 501, _:
            next_ = "use another endpoint; `mcctl check` tells what this one can"
            return McError("UNSUPPORTED", what, next=next_)
        case status, _ if 300 <= status < 400:
            next_ = "correct the url of the endpoint; redirects are not followed"
            return McError("FAILED", what, next=next_)
    return McError("FAILED", what, facts={"code": code})


def _code(error: HttpResponseError) -> str:
    """The SDK knows some of Azure's words and makes an enumeration of those; some are only in the
    message, or in a header, where there is no body.
    """
    headers = getattr(error.response, "headers", {})
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code", "")
    return str(getattr(code, "value", code))


def _not_known(way: Way, what: str) -> McError:
    whose = way.credentials.reference or "the machine's own chain"
    next_ = f"renew them ({whose}), which are read anew for each request"
    next_ += "; when they are good, look at the account's network rules and at this machine's clock"
    known = f"this node's credentials are not known there, or have expired: {what}"
    return McError("NOT_ALLOWED", known, next=next_)


def _not_granted(request: str, place: Place, key: str, what: str) -> McError:
    action, role = GRANTS[request]
    resource = refusals.uri(Place(place.kind, place.bucket), key).rstrip("/")
    facts = {"action": action, "resource": resource}
    said = f"{what}: {action} on {resource} is missing"
    next_ = f"grant this node the role {role} on the container {place.bucket}"
    return McError("NOT_ALLOWED", said, next=next_, facts=facts)
