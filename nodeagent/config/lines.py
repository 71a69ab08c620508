"""On which line of a TOML file each key stands: tomllib does not tell.

`lines(text)` promises the right line for every key of text that tomllib accepts: tables, arrays of
tables, dotted and quoted keys, inline tables, arrays over several lines. For other text it
promises nothing.
"""

import re
import tomllib
from collections.abc import Mapping

Key = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})(?!")', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})(?!')", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def lines(text: str) -> Mapping[Key, int]:
    """Path of keys and list indices to the line, from 1, where it first appears."""
    return _Finder(text.replace("\r\n", "\n")).run()


class _Finder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Key, int] = {}
        self.last: dict[Key, int] = {}  # Array of tables to the index of its last table.
        self.counted_at, self.line = 0, 1

    def run(self) -> dict[Key, int]:
        table: Key = ()
        self._skip(_GAP)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                *outer, name = self._key()
                array = (*self._into(tuple(outer)), name)
                self.last[array] = self.last.get(array, -1) + 1
                table = (*array, self.last[array])
                self._note(table)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._into(self._key())
                self._note(table)
                self.at += 1
            else:
                self._pair(table)
            self._skip(_GAP)
        return self.found

    def _into(self, key: Key) -> Key:
        """In a header, the name of an array of tables means its last table."""
        path: Key = ()
        for part in key:
            path = (*path, part)
            if path in self.last:
                path = (*path, self.last[path])
        return path

    def _pair(self, table: Key) -> None:
        start = self.at
        path = (*table, *self._key())
        self._note(path, start)
        self.at += 1  # The equals sign.
        self._skip(_GAP)
        self._value(path)

    def _key(self) -> Key:
        """A dotted key; stops at what follows it: '=', ']'."""
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            bare = _BARE.match(self.text, self.at)
            if bare:
                self.at = bare.end()
                parts.append(bare.group())
            else:
                parts.append(tomllib.loads(f"k = {self._string()}")["k"])
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return tuple(parts)
            self.at += 1

    def _value(self, path: Key) -> None:
        match self.text[self.at]:
            case '"' | "'":
                self._string()
            case "[":
                self._items(path, "]")
            case "{":
                self._items(path, "}")
            case _:
                self._skip(_SCALAR)

    def _items(self, path: Key, end: str) -> None:
        """What stands in [ ] or { }."""
        self.at += 1
        index = 0
        self._skip(_GAP)
        while self.text[self.at] != end:
            if end == "]":
                self._note((*path, index))
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._skip(_GAP)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_GAP)
        self.at += 1

    def _string(self) -> str:
        for pattern in _STRINGS:
            found = pattern.match(self.text, self.at)
            if found:
                self.at = found.end()
                return found.group()
        raise AssertionError(f"tomllib accepted what is no string at offset {self.at}")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()

    def _note(self, path: Key, at: int | None = None) -> None:
        """This path and those above it; the first mention counts."""
        at = self.at if at is None else at
        self.line += self.text.count("\n", self.counted_at, at)
        self.counted_at = max(self.counted_at, at)
        for length in range(1, len(path) + 1):
            self.found.setdefault(path[:length], self.line)
