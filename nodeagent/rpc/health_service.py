"""grpc.health.v1: what load balancers and probes ask. Serving means ready and not draining."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from grpc_health.v1 import health_pb2

from multicloud.errors import McError
from nodeagent.rpc.call import Call

Answer = health_pb2.HealthCheckResponse  # Untyped, as all of grpc_health.
WATCH_EVERY_S = 0.5


@dataclass(slots=True)
class HealthService:
    ready: Callable[[], bool]
    live: Callable[[], bool]
    services: frozenset[str]

    async def check(self, request: health_pb2.HealthCheckRequest, call: Call) -> Any:
        status = self._status(request.service)
        if status is None:
            raise McError("NOT_FOUND", f"there is no service {request.service!r}")
        return Answer(status=status)

    async def list(self, request: health_pb2.HealthListRequest, call: Call) -> Any:
        names = sorted({"", "liveness", "readiness", *self.services})
        return health_pb2.HealthListResponse(
            statuses={name: Answer(status=self._status(name)) for name in names}
        )

    async def watch(self, request: health_pb2.HealthCheckRequest, call: Call) -> AsyncIterator[Any]:
        said = None
        while True:
            status = self._status(request.service)
            if status is None:
                status = Answer.SERVICE_UNKNOWN
            if status != said:
                said = status
                yield Answer(status=status)
            await asyncio.sleep(WATCH_EVERY_S)

    def _status(self, service: str) -> Any:
        if service == "liveness":
            return Answer.SERVING if self.live() else Answer.NOT_SERVING
        if service in ("", "readiness") or service in self.services:
            return Answer.SERVING if self.ready() else Answer.NOT_SERVING
        return None
