"""The process of one function of the operator's: `python -m nodeagent.process.callee`.

It imports little, shuts itself in, and only then touches the operator's code. Whatever that code
does here, the process that started this one believes nothing but well-formed results.
"""

import base64
import json
import mmap
import os
import socket
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from nodeagent.process.limits import bound_memory, end_with_parent, no_core, no_files
from nodeagent.process.pipe import Gone, Kind, Pipe, said
from nodeagent.process.sandbox import shut_in

BYTES = "__bytes_base64__"  # How a value of bytes is written in JSON.
RESULTS_BYTES = 1 << 18  # Given out together.
PROGRESS = struct.Struct("=Q")
PROGRESS_BYTES = 4096


def main(argv: list[str]) -> int:
    connection, progress_file, parent = map(int, argv)
    end_with_parent(parent)
    pipe = Pipe(socket.socket(fileno=connection))
    progress = mmap.mmap(progress_file, PROGRESS_BYTES)
    os.close(progress_file)
    asked = pipe.receive().json
    sys.path[:] = [*asked["path"], *sys.path]
    no_core()
    no_files()
    bound_memory(asked["memory_bytes_max"])
    walls = shut_in(
        [path for path in (*sys.path, sys.prefix, sys.base_prefix) if os.path.exists(path)]
    )
    try:
        function = _function(asked["call"])
    except BaseException as error:  # noqa: BLE001  The operator's module may raise anything.
        pipe.send(Kind.NOT_LOADED, said(_told(error)))
        return 1
    pipe.send(Kind.LOADED, said(walls))
    while True:
        try:
            asked_for = pipe.receive()
        except Gone:
            return 0
        _answer(pipe, function, asked_for.json, progress, asked["output_bytes_max"])


def _function(call: str) -> Callable[[Any], Any]:
    module, _, name = call.partition(":")
    found = getattr(import_module(module), name)
    if not callable(found):
        raise TypeError(f"{call} is not a function")
    return found  # type: ignore[no-any-return]


def _answer(
    pipe: Pipe, function: Callable[[Any], Any], asked: Any, progress: mmap.mmap, bytes_max: int
) -> None:
    results: list[bytes] = []
    size = 0
    for at, record in enumerate(asked["records"]):
        PROGRESS.pack_into(progress, 0, asked["first"] + at)
        result = _called(function, _given(record, asked["binary"]), bytes_max)
        results.append(result)
        size += len(result)
        if size >= RESULTS_BYTES:
            pipe.send(Kind.RESULTS, b"[" + b",".join(results) + b"]")
            results, size = [], 0
    pipe.send(Kind.RESULTS, b"[" + b",".join(results) + b"]")


def _given(record: Any, binary: list[str]) -> Any:
    for name in binary:
        if record.get(name) is not None:
            record[name] = base64.b64decode(record[name])
    return record


def _called(function: Callable[[Any], Any], record: Any, bytes_max: int) -> bytes:
    """{"out": [records]} or {"bad": why}, as JSON."""
    try:
        made = function(record)
        out = [] if made is None else made if isinstance(made, list) else [made]
        wrong = next((one for one in out if not isinstance(one, dict)), None)
        if wrong is not None:
            kind = type(wrong).__name__
            return said({"bad": f"it gave a {kind}, not a dict, a list of dicts or None"})
        text = json.dumps({"out": out}, default=_coded, separators=(",", ":")).encode()
    except BaseException as error:  # noqa: BLE001  SystemExit, too, is only about this record.
        return said({"bad": _told(error)})
    if len(text) > bytes_max:
        return said({"bad": f"its result has {len(text)} bytes, {bytes_max} may be"})
    return text


def _coded(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return {BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"it gave a value of type {type(value).__name__}, which is no JSON")


def _told(error: BaseException) -> str:
    """Whatever its `str` does."""
    kind = type(error).__name__
    try:
        text = str(error)[:500]
    except BaseException:  # noqa: BLE001  The operator's exception, the operator's `__str__`.
        text = ""
    return f"it raised {kind}: {text}" if text else f"it raised {kind}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
