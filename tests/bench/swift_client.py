"""Puts a file into Swift in objects, or one small object again and again, over plain HTTP.

Each line of its input is JSON with the container's address and what `puts` takes, and is answered
with seconds.
"""

import asyncio
import http.client
import os
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from tests.bench.lines import answer

BLOCK_BYTES = 1 << 20
CREATED = 201


def puts(container: str, file: str, object_bytes: int, many: int) -> dict[str, float]:
    """All parts of the file, so many at once; a connection for each of these."""
    starts = deque(range(0, os.stat(file).st_size, object_bytes))
    faults: list[BaseException] = []

    def work() -> None:
        try:
            _put_some(container, file, object_bytes, starts)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the threads
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(many)]
    begun_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return {"took_s": time.perf_counter() - begun_s}


def deletes(container: str, file: str, object_bytes: int) -> None:
    where = urlsplit(container)
    connection = http.client.HTTPConnection(where.netloc)
    for start in range(0, os.stat(file).st_size, object_bytes):
        connection.request("DELETE", f"{where.path}/{start}")
        connection.getresponse().read()
    connection.close()


def _put_some(container: str, file: str, object_bytes: int, starts: "deque[int]") -> None:
    where = urlsplit(container)
    connection = http.client.HTTPConnection(where.netloc, blocksize=BLOCK_BYTES)
    with open(file, "rb") as source:
        while True:
            try:
                start = starts.popleft()
            except IndexError:
                break
            size_bytes = min(object_bytes, os.fstat(source.fileno()).st_size - start)
            source.seek(start)
            headers = {"Content-Length": str(size_bytes), "Content-Type": "x/x"}
            body = _blocks(source, size_bytes)
            connection.request("PUT", f"{where.path}/{start}", body, headers)
            response = connection.getresponse()
            response.read()
            if response.status != CREATED:
                raise OSError(f"Swift answered {response.status}")
    connection.close()


def _blocks(source: Any, size_bytes: int) -> Any:
    left = size_bytes
    while left:
        block = source.read(min(BLOCK_BYTES, left))
        left -= len(block)
        yield block


async def main() -> None:
    works = {"puts": puts, "deletes": deletes}

    async def asked(line: dict[str, Any]) -> Any:
        return await asyncio.to_thread(works[line.pop("what")], **line)

    await answer(asked)


if __name__ == "__main__":
    asyncio.run(main())
