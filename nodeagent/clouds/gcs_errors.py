"""What Google's storage and its SDK say when something fails: what, to what, why, what next."""

from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.exceptions import RequestException, TooManyRedirects
from urllib3.exceptions import HTTPError

from multicloud.errors import McError
from nodeagent.clouds import refusals
from nodeagent.clouds.contract import Place
from nodeagent.clouds.reply import retry_after_s, unreached
from nodeagent.clouds.way import Way

# The permission that a request needs, and the smallest role that has it.
GRANTS: Mapping[str, tuple[str, str]] = {
    "ListObjects": ("storage.objects.list", "roles/storage.objectViewer"),
    "HeadObject": ("storage.objects.get", "roles/storage.objectViewer"),
    "GetObject": ("storage.objects.get", "roles/storage.objectViewer"),
    "InsertObject": ("storage.objects.create", "roles/storage.objectUser"),
    "BeginUpload": ("storage.objects.create", "roles/storage.objectUser"),
    "InsertPart": ("storage.objects.create", "roles/storage.objectUser"),
    "DeleteObject": ("storage.objects.delete", "roles/storage.objectUser"),
    "GetBucket": ("storage.buckets.get", "roles/storage.legacyBucketReader"),
}


def mapped(error: Exception, request: str, way: Way, place: Place, key: str) -> McError:
    match error:
        case McError():
            return error
        case GoogleAPICallError():
            headers = getattr(error.response, "headers", None) or {}
            said = str(error.message)[:300]
            return of_status(int(error.code or 0), said, headers, request, way, place, key)
        case TransportError():
            return unreached(way, error)
        case GoogleAuthError():
            whose = way.credentials.reference or "the machine's own chain"
            what = f"this node's credentials for {way.whom} are absent or expired"
            next_ = f"give the machine a service account, or renew {whose}"
            return McError("NOT_ALLOWED", what, next=next_)
        case TooManyRedirects():
            next_ = "correct the url of the endpoint; redirects are not followed"
            return McError("FAILED", f"{way.whom} answers {request} with a redirect", next=next_)
        case RequestException() | HTTPError() | HTTPException() | OSError():
            return unreached(way, error)
    what = f"{request} of {refusals.uri(place, key)} ended in {type(error).__name__}: {error}"
    return McError("INTERNAL", what[:500])


def of_status(
    status: int,
    said: str,
    headers: Mapping[str, Any],
    request: str,
    way: Way,
    place: Place,
    key: str,
) -> McError:
    what = f"{way.whom} refused {request} of {refusals.uri(place, key)}: {status} {said}".rstrip()
    match status:
        case 412 | 416:  # What that means, only whoever asked knows.
            return McError("FAILED", what, facts={"status": str(status)})
        case 429 | 503:
            wait_s = retry_after_s(headers)
            patience = f"{way.whom} asks for patience: {status}"
            return McError("TOO_BUSY", patience, retry_after_s=wait_s)
        case 401:
            whose = way.credentials.reference or "the machine's own chain"
            next_ = f"renew them ({whose}); they are read anew for each request"
            known = f"this node's credentials are not known there, or have expired: {what}"
            return McError("NOT_ALLOWED", known, next=next_)
        case 403:
            return _not_granted(request, place, key, what)
        case 404:
            return refusals.not_found(place, key) if key else refusals.no_bucket(place)
        case 408:
            return McError("STALLED", what)
        case 500 | 502 | 504:
            return McError("UNREACHABLE", f"{way.whom} failed at {request}: {status}")
        case 501:
            next_ = "use another endpoint; `mcctl check` tells what this one can"
            return McError("UNSUPPORTED", what, next=next_)
        case 400 if any(word in said.lower() for word in ("md5", "crc32c", "checksum", "hash")):
            return refusals.spoilt(place, key, "crc32c")
    if 300 <= status < 400:
        next_ = "correct the url of the endpoint; redirects are not followed"
        return McError("FAILED", what, next=next_)
    return McError("FAILED", what)


def _not_granted(request: str, place: Place, key: str, what: str) -> McError:
    permission, role = GRANTS[request]
    resource = refusals.uri(Place(place.kind, place.bucket), key).rstrip("/")
    next_ = f"grant this node {permission} on {place.uri}, as {role} has it"
    facts = {"action": permission, "resource": resource}
    said = f"{what}: {permission} on {resource} is missing"
    return McError("NOT_ALLOWED", said, next=next_, facts=facts)
