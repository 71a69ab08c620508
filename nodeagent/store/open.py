"""Opens the volumes that a node's configuration names, and remembers which volume is where.

One that cannot be opened is passed over and shown as failed, as long as another one can.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from multicloud.errors import McError
from multicloud.files import write_secret
from nodeagent.clouds.contract import Clouds
from nodeagent.config.model import BucketVolume, Config
from nodeagent.store.bucket.late import LateStore
from nodeagent.store.bucket.making import bucket_volume
from nodeagent.store.contract import Store
from nodeagent.store.failed import FailedStore
from nodeagent.store.local.store import LocalOptions, LocalStore
from nodeagent.store.observer import Silent, StoreObserver
from nodeagent.store.volumes import Volumes

KNOWN = "volumes.json"
SYNCS_MAX = 8  # Twice the small puts of one by one, on a disk that flushes in 0.1 ms.
# What a volume may suffer while the others go on; whatever else is wrong stops the start.
_PASSED_OVER = ("VOLUME_WRONG", "VOLUME_FAILED", "VOLUME_READ_ONLY")


def folders_of(config: Config) -> list[Path]:
    return [volume.dir for volume in config.volume] or [config.node.state_dir / "chunks"]


async def open_volumes(
    config: Config,
    state: Path,
    *,
    observer: StoreObserver | None = None,
    clouds: Clouds | None = None,
    clock: Callable[[], float] = time.time,
) -> Volumes:
    """`state` is the node's state folder: its `volumes.json` says which volume was seen where.

    Disks are open when this returns; buckets are opened by the volumes' `run`.
    """
    known = await asyncio.to_thread(_load, state / KNOWN)
    options = LocalOptions(
        write=config.store.write,
        reserve_bytes=config.store.reserve_bytes,
        writers_max=config.store.writers_max,
        readers_max=config.store.readers_max,
        syncs_max=SYNCS_MAX,
    )
    stores: list[Store] = []
    faults: list[McError] = []
    seen = dict(known)
    for folder in map(str, folders_of(config)):
        try:
            store = await LocalStore.open(
                folder,
                node=config.node.id,
                options=options,
                clock=clock,
                observer=observer or Silent(),
                expected=known.get(folder, ""),
            )
        except McError as error:
            if error.reason not in _PASSED_OVER:
                await _close(stores)
                raise
            faults.append(error)
            stores.append(FailedStore(known.get(folder, folder), error.message))
            continue
        seen[folder] = store.volume
        stores.append(store)
    if len(faults) == len(stores):
        raise faults[0]
    if seen != known:
        await asyncio.to_thread(_save, state / KNOWN, seen)
    return Volumes(stores, _buckets(config, state, clouds, seen, clock))


def _buckets(
    config: Config,
    state: Path,
    clouds: Clouds | None,
    seen: dict[str, str],
    clock: Callable[[], float],
) -> list[LateStore]:
    def one(entry: BucketVolume) -> LateStore:
        where = f"{entry.uri.rstrip('/')} {entry.endpoint}".strip()

        def opened(uuid: str) -> None:
            if seen.get(where) != uuid:
                seen[where] = uuid
                _save(state / KNOWN, seen)

        known = seen.get(where, "")
        return bucket_volume(config, entry, state, clouds, known=known, opened=opened, clock=clock)

    return [one(entry) for entry in config.bucket]


async def _close(stores: list[Store]) -> None:
    for store in stores:
        await store.close()


def _load(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
        return {str(folder): str(uuid) for folder, uuid in found["volumes"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        said = f"{path} does not read, so a wrong disk could not be told from the right one"
        raise McError("DAMAGE", said, next="look at the disks, then remove the file") from error


def _save(path: Path, seen: Mapping[str, str]) -> None:
    write_secret(path, json.dumps({"volumes": dict(seen)}, indent=1).encode() + b"\n")
