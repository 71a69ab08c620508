"""What all clouds say in the same way: patience, and why they cannot be reached."""

import email.utils
import time
from collections.abc import Mapping

from multicloud.errors import McError
from nodeagent.clouds.way import Way

PATIENCE_S, PATIENCE_S_MAX = 1.0, 120.0
_TLS = ("certificate", "ssl", "tls")
_SLOW = (
    "read timeout",
    "read timed out",
    "readtimeout",
    "timeout on reading",
    "servertimeouterror",
)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Retry-After in seconds or as a date, within bounds."""
    text = next((str(v) for k, v in headers.items() if k.lower() == "retry-after"), "")
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return PATIENCE_S
    return min(PATIENCE_S_MAX, max(0.0, wait_s)) if wait_s == wait_s else PATIENCE_S


def unreached(way: Way, error: BaseException) -> McError:
    """A fault below HTTP: nothing listens, TLS does not fit, the line broke or stood still."""
    said = f"{type(error).__name__}: {error}"[:300]
    lower = said.lower()
    if any(word in lower for word in _TLS):
        where = f"clouds.endpoints.{way.name}.ca_file" if way.name else "the machine's CA store"
        next_ = f"name the CA that signed its certificate in {where}, or correct the url"
        return McError("UNREACHABLE", f"TLS with {way.whom} fails: {said}", next=next_)
    if any(word in lower for word in _SLOW):
        return McError("STALLED", f"{way.whom} stood still: {said}")
    next_ = "look at the url of the endpoint, and whether this node's firewall lets it out"
    return McError("UNREACHABLE", f"{way.whom} is not reached: {said}", next=next_)
