"""Every bucket that this node can reach: made when it is first needed, each behind its turns."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from multicloud.errors import McError
from nodeagent.clouds.contract import Bucket, Place, Shape
from nodeagent.clouds.credentials import Secret
from nodeagent.clouds.guarded import refuse_metadata
from nodeagent.clouds.threads import Threads
from nodeagent.clouds.turns import EndpointState, PacedTurns, Surroundings, Watcher
from nodeagent.clouds.way import Way
from nodeagent.config import model
from nodeagent.config.live import LiveConfig
from nodeagent.config.options import nearest

# A module for each kind, with `connect(way, threads)`; importing it imports the SDK.
_DRIVERS: Mapping[str, str] = {
    "s3": "nodeagent.clouds.s3_client",
    "gs": "nodeagent.clouds.gcs_client",
    "az": "nodeagent.clouds.azure_client",
}


@dataclass(slots=True)
class _Endpoint:
    way: Way
    threads: Threads
    state: EndpointState
    connection: Any = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class NodeClouds:
    def __init__(
        self,
        settings: Callable[[], model.Clouds],
        surroundings: Surroundings | None = None,
        shape: Shape | None = None,
    ) -> None:
        self._settings = settings
        self._world = surroundings or Surroundings()
        self._shape = shape or Shape()
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}
        self._buckets: dict[Place, Bucket] = {}

    async def bucket(self, place: Place) -> Bucket:
        if place in self._buckets:
            return self._buckets[place]
        endpoint = self._endpoint(place)
        async with endpoint.opening:
            if place not in self._buckets:
                turns = self._turns(endpoint)
                if endpoint.connection is None:
                    endpoint.connection = await _connect(endpoint.way, endpoint.threads)
                made = await endpoint.connection.bucket(place, self._shape, turns)
                self._buckets[place] = made
        return self._buckets[place]

    def places(self) -> list[tuple[Place, bool]]:
        """What the configuration names and what is in use, and whether it is written to."""
        named: dict[Place, bool] = dict.fromkeys(self._buckets, False)
        for name, entry in self._settings().endpoints.items():
            for bucket in entry.reads:
                named.setdefault(Place(entry.kind, bucket, name), False)
            for bucket in entry.writes:
                named[Place(entry.kind, bucket, name)] = True
        return sorted(named.items(), key=lambda item: (item[0].uri, item[0].endpoint))

    def endpoints(self) -> list[EndpointState]:
        """Those that were used."""
        return [endpoint.state for endpoint in list(self._endpoints.values())]

    async def close(self) -> None:
        for endpoint in self._endpoints.values():
            if endpoint.connection is not None:
                await endpoint.connection.close()
            endpoint.threads.close()
        self._endpoints.clear()
        self._buckets.clear()

    def _endpoint(self, place: Place) -> _Endpoint:
        key = (place.kind, place.endpoint)
        if key not in self._endpoints:
            way = self._way(place)
            state = EndpointState(
                way.whom, way.name or way.kind, asyncio.Semaphore(way.requests_at_once_max)
            )
            self._endpoints[key] = _Endpoint(way, Threads(way.requests_at_once_max), state)
        return self._endpoints[key]

    def _turns(self, endpoint: _Endpoint) -> PacedTurns:
        return PacedTurns(
            endpoint.state,
            self._world,
            lambda: self._settings().requests_per_s_max,
            lambda: self._settings().tries_max,
        )

    def _way(self, place: Place) -> Way:
        settings = self._settings()
        if place.kind not in _DRIVERS:
            what = f"{place.uri}: buckets of the kind {place.kind!r} are not known"
            raise McError("CONFIG_INVALID", what, next=f"one of {', '.join(_DRIVERS)}")
        bounds = {
            "requests_at_once_max": settings.requests_at_once_max,
            "read_timeout_s": settings.silent_s,
        }
        if not place.endpoint:
            return Way(place.kind, **bounds)  # type: ignore[arg-type]
        entry = settings.endpoints.get(place.endpoint)
        if entry is None:
            near = nearest(place.endpoint, settings.endpoints)
            hint = f" (did you mean {near}?)" if near else ""
            what = f"this node has no endpoint {place.endpoint!r}{hint}"
            next_ = f"write [clouds.endpoints.{place.endpoint}] into its configuration"
            raise McError("CONFIG_INVALID", what, next=next_)
        if entry.kind != place.kind:
            what = f"the endpoint {place.endpoint} is of the kind {entry.kind}, not {place.kind}"
            raise McError("CONFIG_INVALID", what, next=f"write {entry.kind}://{place.bucket}")
        return Way(
            entry.kind,
            place.endpoint,
            entry.url,
            entry.region,
            entry.checksum,
            Secret(entry.credentials),
            entry.ca_file,
            **bounds,  # type: ignore[arg-type]
        )


def node_clouds(live: LiveConfig, watcher: Watcher) -> NodeClouds:
    """Those of a daemon; nothing is loaded or connected yet."""
    return NodeClouds(lambda: live.current.clouds, Surroundings(watcher=watcher))


async def _connect(way: Way, threads: Threads) -> Any:
    """The SDK is imported and its client made in a thread: both block for most of a second."""
    if way.url:
        await threads.run(lambda: refuse_metadata(way.url))
    module = await threads.run(lambda: _driver(way.kind))
    connect: Callable[[Way, Threads], Awaitable[Any]] = module.connect
    return await connect(way, threads)


def _driver(kind: str) -> ModuleType:
    try:
        return importlib.import_module(_DRIVERS[kind])
    except ImportError as error:
        what = f"this node lacks what {kind}:// needs: {error.name or error}"
        next_ = "install the extra: pip install 'multicloud[clouds]', then restart nodeagentd"
        raise McError("EXTRA_MISSING", what, next=next_) from None
