"""Real files on a disk that fails when it is told to, and remembers what it was asked."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nodeagent.store.local.files import Files, RealFiles


@dataclass
class Fault:
    call: str
    code: int
    path: str = ""  # A part of it; of the path that was opened, where a descriptor is given.
    left: int = 1 << 30
    seen: int = 0


@dataclass
class FaultyFiles:
    inner: Files = field(default_factory=RealFiles)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)
    answers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)  # Change an answer.
    before: dict[str, Callable[[str], None]] = field(default_factory=dict)  # May hold the caller.

    def fail(self, call: str, code: int, path: str = "", times: int = 1 << 30) -> Fault:
        self.faults.append(Fault(call, code, path, times))
        return self.faults[-1]

    def heal(self) -> None:
        self.faults.clear()

    def of(self, call: str, path: str = "") -> list[str]:
        return [where for name, where in self.calls if name == call and path in where]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        inner = getattr(self.inner, name)

        def call(*args: Any) -> Any:
            where = self.paths.get(args[0], "") if isinstance(args[0], int) else args[0]
            self.calls.append((name, where))
            if name in self.before:
                self.before[name](where)
            for fault in self.faults:
                if fault.call == name and fault.path in where and fault.left > 0:
                    fault.left -= 1
                    fault.seen += 1
                    raise OSError(fault.code, os.strerror(fault.code), where)
            answer = inner(*args)
            if name == "open":
                self.paths[answer] = where
            return self.answers[name](answer) if name in self.answers else answer

        return call
