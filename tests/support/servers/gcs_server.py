"""gcp-storage-emulator made strict: what Google promises and the emulator leaves out.

    python gcs_server.py PORT
Preconditions on generations are decided together with what they guard, listings come in the order
of bytes, in pages, from an offset; names are any names, and a range behind the end is refused.
"""

import re
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.storage import Storage

Handler = Callable[..., None]
_together = threading.RLock()


def main(port: int) -> None:
    # The emulator takes names for paths, so `a//b` would be `a/b`.
    Storage._object_path = lambda _self, bucket, name: f"{bucket}/{name.encode().hex()}"
    server.HANDLERS = tuple(
        (
            pattern.replace(".*[^/]+", ".+"),
            {method: _guarded(handler) for method, handler in methods.items()},
        )
        for pattern, methods in server.HANDLERS
    )
    running = server.create_server("127.0.0.1", port, in_memory=True)
    running.start()
    threading.Event().wait()


def _guarded(handler: Handler) -> Handler:
    def strict(request: Any, response: Any, storage: Any, *more: Any, **named: Any) -> None:
        with _together:
            if not _holds(request, storage):
                _refuse(response, HTTPStatus.PRECONDITION_FAILED, "conditionNotMet")
            elif handler.__name__ == "ls" and "/o" in request.path:
                handler(request, response, storage, *more, **named)
                _paged(request, response)
            elif not _reaches(request, storage):
                _refuse(response, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "requestedRange")
            else:
                handler(request, response, storage, *more, **named)

    return strict


def _asked(request: Any, name: str) -> str | None:
    found = request.query.get(name)
    return found[0] if found else None


def _holds(request: Any, storage: Any) -> bool:
    wanted = _asked(request, "ifGenerationMatch")
    if wanted is None:
        return True
    try:
        there = storage.get_file_obj(request.params["bucket_name"], _name(request, storage))
        generation = str(there["generation"])
    except NotFound:
        if request.method == server.GET:
            return True  # Not there at all: the handler says so.
        generation = "0"
    return generation == wanted


def _name(request: Any, storage: Any) -> str:
    if "object_id" in request.params:
        return str(request.params["object_id"])
    upload = _asked(request, "upload_id")
    if upload is not None:
        return str(storage.resumable.get(upload, {}).get("name"))
    data = request.data if isinstance(request.data, dict) else {}
    return str(_asked(request, "name") or data.get("meta", data).get("name"))


def _reaches(request: Any, storage: Any) -> bool:
    first = re.match(r"bytes=(\d+)-", request.get_header("range") or "")
    if request.method != server.GET or first is None or "object_id" not in request.params:
        return True
    try:
        there = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
    except NotFound:
        return True
    return int(first.group(1)) < int(there["size"])


def _paged(request: Any, response: Any) -> None:
    import json

    if response.status is not HTTPStatus.OK:
        return
    answer = json.loads(response._content)
    items = sorted(answer.get("items", []), key=lambda item: item["name"].encode())
    offset = (_asked(request, "pageToken") or _asked(request, "startOffset") or "").encode()
    items = [item for item in items if item["name"].encode() >= offset]
    most = int(_asked(request, "maxResults") or 1000)
    answer["items"] = items[:most]
    if len(items) > most:
        answer["nextPageToken"] = items[most]["name"]
    response.json(answer)


def _refuse(response: Any, status: HTTPStatus, reason: str) -> None:
    response.status = status
    error = {"code": status.value, "message": reason, "errors": [{"reason": reason}]}
    response.json({"error": error})


if __name__ == "__main__":
    main(int(sys.argv[1]))
