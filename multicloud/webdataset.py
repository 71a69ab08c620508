"""`mc://` URLs for WebDataset: call `register()` once, in each process that reads shards."""

from typing import IO, Any

import multicloud
from multicloud.datasets import SCHEME
from multicloud.errors import McError


def register(context: str | None = None) -> None:
    """`webdataset.WebDataset("mc://name@1/shard-{000..099}.tar")` works from now on."""
    try:
        from webdataset.gopen import gopen_schemes
    except ImportError as error:
        raise McError(
            "EXTRA_MISSING", "webdataset is not installed", next="pip install webdataset"
        ) from error
    cluster = multicloud.connect(context)

    def opened(url: str, mode: str = "rb", bufsize: int = 0, **_: Any) -> IO[bytes]:
        return cluster.open(url)

    gopen_schemes[SCHEME] = opened
