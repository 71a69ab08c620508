"""An OTLP collector inside the test: real gRPC, and as slow or as wrong as it is told to be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc


@dataclass
class Receiver:
    endpoint: str = ""
    spans: list[tuple[dict[str, str], Any]] = field(default_factory=list)  # (resource, span)
    calls: int = 0
    metrics: set[str] = field(default_factory=set)
    answer: grpc.StatusCode = grpc.StatusCode.OK
    hangs: bool = False
    rejects: int = 0

    def named(self, name: str) -> Any:
        (found,) = [span for _, span in self.spans if span.name == name]
        return found

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)


class _Traces(trace_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, context: Any) -> Any:
        receiver = self._receiver
        receiver.calls += 1
        if receiver.hangs:
            await asyncio.sleep(60)
        if receiver.answer is not grpc.StatusCode.OK:
            await context.abort(receiver.answer, "told to")
        for resource_spans in request.resource_spans:
            found = resource_spans.resource.attributes
            resource = {pair.key: pair.value.string_value for pair in found}
            for scope in resource_spans.scope_spans:
                receiver.spans += [(resource, span) for span in scope.spans]
        partial = trace_pb2.ExportTracePartialSuccess(rejected_spans=receiver.rejects)
        return trace_pb2.ExportTraceServiceResponse(partial_success=partial)


class _Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def Export(self, request: Any, context: Any) -> Any:
        for resource_metrics in request.resource_metrics:
            for scope in resource_metrics.scope_metrics:
                self._receiver.metrics |= {metric.name for metric in scope.metrics}
        return metrics_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = grpc.aio.server()
    trace_grpc.add_TraceServiceServicer_to_server(_Traces(receiver), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(_Metrics(receiver), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    receiver.endpoint = f"http://127.0.0.1:{bound}"
    await server.start()
    try:
        yield receiver
    finally:
        await server.stop(0)
