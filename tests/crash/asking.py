"""What a caller sees of a store that was opened after a crash, against what is owed to him."""

from collections.abc import Iterable

from nodeagent.store.volumes import Volumes
from tests.crash.caller import Caller, chunk
from tests.crash.owed import Owed

NEW = chunk(9)  # Put after each reopening: the store works.


async def ask(
    store: Volumes, owed: Owed, files: dict[bytes, bytes], spoiled: Iterable[str] = ()
) -> list[str]:
    """Lists, pins, reads of every chunk, and a put; `spoiled` may be unreadable, not altered."""
    wrong = []
    caller = Caller(store, lambda fact: None, files)
    for chunk_id, holders in owed.pins.items():
        if missing := holders - {pin.holder for pin in await store.pins(chunk_id)}:
            wrong.append(f"pins of {sorted(missing)} on {_short(chunk_id)} are lost")
    listed = {held.chunk_id async for held in store.list()}
    wrong += [f"{_short(c)} is listed, and nobody has put it" for c in listed - {*files}]
    wrong += [f"{_short(c)} was acknowledged and is not listed" for c in owed.living - listed]
    for chunk_id in sorted((listed | owed.kept) & {*files}):
        bad = any(path.endswith(f"/{chunk_id.hex()}.chunk") for path in spoiled)
        if await caller.read(chunk_id) is None and not (bad and chunk_id not in owed.kept):
            wrong.append(f"{_short(chunk_id)} cannot be read: {dict(caller.refused)}")
    if await caller.put(NEW) is None:
        wrong.append(f"it takes no chunk: {dict(caller.refused)}")
    return wrong


def _short(chunk_id: bytes) -> str:
    return chunk_id.hex()[:8]
