"""The volume that an entry of the configuration means: which bucket, where it stands, what it may
take.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from multicloud.errors import McError
from multicloud.files import make_private_folder
from nodeagent.clouds.contract import AZURE, GCS, S3, Clouds, Place
from nodeagent.config.model import BucketVolume, Config
from nodeagent.store.bucket.late import LateStore, Ready, Whereabouts
from nodeagent.store.bucket.store import BucketStore
from nodeagent.store.local.index import Index, open_index

CLOUD_OF = {S3: "aws", GCS: "gcp", AZURE: "azure"}
INDEXES = "buckets"  # In the state folder: mere caches.


def place_of(entry: BucketVolume) -> tuple[Place, str]:
    """The bucket, and the prefix in it."""
    kind, _, rest = entry.uri.partition("://")
    words = rest.strip("/").split("/")
    own = 2 if kind == AZURE else 1
    prefix = "".join(f"{word}/" for word in words[own:])
    return Place(kind, "/".join(words[:own]), entry.endpoint), prefix


def bucket_volume(
    config: Config,
    entry: BucketVolume,
    state: Path,
    clouds: Clouds | None,
    *,
    known: str = "",
    opened: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> LateStore:
    """`known` is the uuid of the volume that was there before; `opened` hears what it is."""
    place, prefix = place_of(entry)
    where = _where(config, entry, place, "")

    def index(uuid: str) -> Index:
        make_private_folder(state / INDEXES)
        return open_index(str(state / INDEXES / f"{uuid}.sqlite"))

    async def opening() -> Ready:
        if clouds is None:
            raise McError("EXTRA_MISSING", f"{where.uri} needs the extra `multicloud[clouds]`")
        bucket = await clouds.bucket(place)
        store = await BucketStore.open(
            bucket,
            prefix,
            node=config.node.id,
            bytes_total=entry.quota_bytes,
            index=index,
            expected=known,
            adopt_from=entry.adopt_from,
            clock=clock,
        )
        await asyncio.to_thread(opened, store.volume)
        return Ready(store, _where(config, entry, place, bucket.region))

    return LateStore(where, known, opening)


def _where(config: Config, entry: BucketVolume, place: Place, told: str) -> Whereabouts:
    own = config.node.cloud if place.endpoint else CLOUD_OF[place.kind]
    return Whereabouts(
        entry.uri.rstrip("/"), entry.cloud or own, entry.region or told or config.node.region
    )
