"""Functions as operators write them, and worse ones; a worker's process calls them by name."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

Record = dict[str, Any]


def normalise(record: Record) -> Record:
    return {**record, "text": record["text"].strip().lower()}


def split(record: Record) -> list[Record]:
    return [{"id": record["id"], "word": word} for word in record["text"].split()]


def odd_only(record: Record) -> Record | None:
    return record if record["id"] % 2 else None


def reversed_bytes(record: Record) -> Record:
    assert isinstance(record["body"], bytes)
    return {**record, "body": record["body"][::-1]}


def misbehaving(record: Record) -> Any:
    """Does what the record asks for, and is an honest function for all others."""
    match record.get("do"):
        case "raise":
            raise ValueError("this one I do not like")
        case "hang":
            time.sleep(3600)
        case "spin":
            while True:
                pass
        case "crash":
            ctypes.string_at(0)
        case "leave":
            os._exit(3)
        case "exit":
            sys.exit(4)
        case "garbage":
            return 5
        case "object":
            return {"it": object()}
        case "eat":
            return {"size": len(bytearray(3 << 30))}
        case "flood":
            return {"text": "x" * (20 << 20)}
        case "print":
            print("to nobody " * 100_000, flush=True)  # noqa: T201
            os.write(2, b"nor here")
        case "close":
            os.closerange(0, 256)
        case "nonsense":
            os.write(_pipe(), b"\xff" * 4096)
    return {"id": record["id"]}


def _pipe() -> int:
    for number in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                return number
        except OSError:
            continue
    raise AssertionError("there is a pipe to whoever called")


def tries(record: Record) -> Record:
    """What of the forbidden can be done from here."""
    attempts = {
        "network": lambda: socket.create_connection(("127.0.0.1", int(record["port"])), 1).close(),
        "write": lambda: open(record["folder"] + "/new", "w").close(),
        "read": lambda: open(record["secret"]).close(),
        "fork": os.fork,
        "kill": lambda: os.kill(os.getppid(), signal.SIGTERM),
        "remove": lambda: os.unlink(record["secret"]),
        "thread": lambda: threading.Thread(target=time.time).start(),
        "import": lambda: __import__("sqlite3"),
    }
    done = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            done[name] = "yes"
        except Exception as error:  # noqa: BLE001  Whatever it is, it did not work.
            done[name] = type(error).__name__
    return done
