"""Finds the implementation of an RPC by the descriptors of the API, so that none is forgotten.

A servicer implements RPCs as methods named in snake_case: `async def get_node(request, call)`
for an answer, an async generator for a stream of answers. Which RPCs exist, and of which shape,
is said by the protos alone.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from multicloud.v1 import (
    access_pb2,
    admin_pb2,
    chunk_pb2,
    council_pb2,
    export_pb2,
    insight_pb2,
    job_pb2,
    peer_pb2,
    read_pb2,
    source_pb2,
    task_pb2,
    watch_pb2,
)

FILES = (
    access_pb2,
    admin_pb2,
    chunk_pb2,
    council_pb2,
    export_pb2,
    insight_pb2,
    job_pb2,
    peer_pb2,
    read_pb2,
    source_pb2,
    task_pb2,
    watch_pb2,
    health_pb2,
)


Serve = TypeVar("Serve", bound=Callable[..., Any])


def raw(serve: Serve) -> Serve:
    """Marks a method that moves bulk bytes: its requests and answers are not parsed around it."""
    serve.raw = True  # type: ignore[attr-defined]
    return serve


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC of the API and, where it is served here, what serves it."""

    path: str
    request: type[Message]
    response: type[Message]
    takes_stream: bool
    gives_stream: bool
    serve: Any = None

    @property
    def raw(self) -> bool:
        """It takes and gives the bytes of its messages, and says itself who stands still."""
        return getattr(self.serve, "raw", False)

    @property
    def streaming(self) -> bool:
        return self.takes_stream or self.gives_stream


def all_services() -> list[ServiceDescriptor]:
    return [s for file in FILES for s in file.DESCRIPTOR.services_by_name.values()]


def all_rpcs(servicers: Mapping[str, Sequence[object]]) -> dict[str, Rpc]:
    """Path to RPC, for every RPC there is; `servicers` maps a service's name to who serves it."""
    return {
        rpc.path: rpc
        for service in all_services()
        for rpc in _rpcs(service.full_name, service.methods, servicers.get(service.name, ()))
    }


def _rpcs(
    service: str, methods: Iterable[MethodDescriptor], servicers: Sequence[object]
) -> Iterable[Rpc]:
    for method in methods:
        name = snake(method.name)
        yield Rpc(
            path=f"/{service}/{method.name}",
            request=GetMessageClass(method.input_type),
            response=GetMessageClass(method.output_type),
            takes_stream=method.client_streaming,
            gives_stream=method.server_streaming,
            serve=next((getattr(s, name) for s in servicers if hasattr(s, name)), None),
        )


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
