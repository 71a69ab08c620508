"""Which objects of a source a job wants: globs over the path inside the source.

`*` and `?` stay within a name, `**` crosses folders, `[ab]` and `[!ab]` are one character. A glob
without a slash fits names at any depth. Excluding wins; excluding a folder excludes all in it.
"""

import re
from collections.abc import Iterable, Sequence

from multicloud.errors import FieldFault, McError

GLOBS_MAX = 256
CHARS_MAX = 1024


class Globs:
    """Pure, and the same on a laptop and on every node."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = _compiled("include", include)
        self._exclude = _compiled("exclude", exclude)

    def takes(self, path: bytes) -> bool:
        """Whether an object is wanted, in a folder that is entered."""
        if self.shuts(path):
            return False
        return self._include is None or _fits_any_part(self._include, path)

    def allows(self, path: bytes) -> bool:
        """Whether an object is wanted, and every folder on the way to it."""
        if not self.takes(path):
            return False
        return self._exclude is None or not _fits_any_part(self._exclude, path)

    def shuts(self, path: bytes) -> bool:
        """Whether a folder need not be entered; its own folders have been asked about before."""
        return self._exclude is not None and self._exclude.fullmatch(path) is not None


def _fits_any_part(pattern: re.Pattern[bytes], path: bytes) -> bool:
    """Including a folder includes all in it."""
    end = len(path)
    while end > 0:
        if pattern.fullmatch(path, 0, end):
            return True
        end = path.rfind(b"/", 0, end)
    return False


def _compiled(field: str, globs: Iterable[str]) -> re.Pattern[bytes] | None:
    kept = list(globs)
    for glob in kept:
        if not glob.strip("/") or len(glob) > CHARS_MAX or len(kept) > GLOBS_MAX:
            rule = f"at most {GLOBS_MAX} globs of 1 to {CHARS_MAX} characters"
            said = f"{glob[:80]!r} is no glob"
            raise McError("BAD_REQUEST", said, faults=[FieldFault(field, rule)])
    if not kept:
        return None
    return re.compile(b"|".join(_regex(glob) for glob in kept), re.DOTALL)


def _regex(glob: str) -> bytes:
    text = glob.strip("/").encode("utf-8", "surrogateescape")
    anywhere = b"/" not in glob.rstrip("/").encode("utf-8", "surrogateescape")
    out = [b"(?:.*/)?" if anywhere else b""]
    at = 0
    while at < len(text):
        if text.startswith(b"**/", at):
            out.append(b"(?:.*/)?")
            at += 3
        elif text.startswith(b"**", at):
            out.append(b".*")
            at += 2
        elif (found := re.compile(rb"\[(!?)(\]?[^\]/]*)\]").match(text, at)) and found[2]:
            inside = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", found[2])
            out.append(b"[" + (b"^/" if found[1] else b"") + inside + b"]")
            at = found.end()
        else:
            one = text[at : at + 1]
            out.append({b"*": b"[^/]*", b"?": _ONE}.get(one) or re.escape(one))
            at += 1
    return b"(?:" + b"".join(out) + b")"


# One character is a few bytes of UTF-8, or a byte that is none.
_ONE = rb"(?:[\xc2-\xf4][\x80-\xbf]{1,3}|[^/])"
