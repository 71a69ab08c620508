"""Pages of a list. A token names the last key that was given, so a list may change meanwhile."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from multicloud.errors import FieldFault, McError

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000

T = TypeVar("T")


def page(
    items: Sequence[T], page_size: int, page_token: str, key: Callable[[T], str]
) -> tuple[list[T], str]:
    """The items after the token, in the order of their keys, and the token of the next page."""
    if page_size < 0:
        raise McError(
            "BAD_REQUEST",
            "page_size is negative",
            faults=[FieldFault("page_size", f"0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}")],
        )
    after = _decode(page_token)
    size = min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    rest = [item for item in items if not page_token or key(item) > after]
    given = rest[:size]
    more = len(rest) > size
    return given, base64.urlsafe_b64encode(key(given[-1]).encode()).decode() if more else ""


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise McError(
            "BAD_REQUEST",
            "page_token is not one of ours",
            faults=[FieldFault("page_token", "take it from next_page_token of the last answer")],
        ) from error
