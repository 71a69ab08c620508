"""The way to the OTLP collector: one thread, a bounded queue, and nobody who waits for it.

The collector may be absent, slow or something else: spans that cannot be delivered are
counted, each change of its state is said once, and memory stays within the queue.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from opentelemetry.sdk.trace import ReadableSpan

from nodeagent.core.backoff import delay_s

if TYPE_CHECKING:
    import grpc

BATCH_SPANS_MAX = 512
SEND_EVERY_S = 1.0
CALL_TIMEOUT_S = 5.0
PAUSE_S_BASE, PAUSE_S_MAX = 1.0, 30.0
REPLY_BYTES_MAX = 64 << 10

_AGAIN = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _NoReply:
    again: bool  # Whether the same may be sent again, after the specification of OTLP.


class Collector:
    """A connection that is made with the first call. `send_*` block and never raise."""

    def __init__(self, endpoint: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._answers: bool | None = None  # None: not tried yet.

    def send_spans(self, spans: Sequence[ReadableSpan]) -> int | None:
        """How many are lost for good; None when all may be sent again later."""
        # Imported here: the start of the daemon must not wait for it.
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

        stub: Any = TraceServiceStub
        reply = self._call(lambda channel: stub(channel).Export, encode_spans(spans))
        if isinstance(reply, _NoReply):
            return None if reply.again else len(spans)
        refused = int(reply.partial_success.rejected_spans)
        return max(0, min(len(spans), refused))

    def send_metrics(self, data: Any) -> bool:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
            MetricsServiceStub,
        )

        stub: Any = MetricsServiceStub
        reply = self._call(lambda channel: stub(channel).Export, encode_metrics(data))
        return not isinstance(reply, _NoReply)

    def close(self) -> None:
        """Ends a call that is under way, too."""
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()

    def _call(self, method: Callable[[Any], Any], request: Any) -> Any:
        import grpc

        try:
            reply = method(self._connected())(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            call: Any = error  # What a blocking call raises is the call itself, too.
            code = call.code().name
            self._say(False, f"{code} {(call.details() or '')[:200]}".strip())
            return _NoReply(again=code in _AGAIN)
        except ValueError as error:  # gRPC's word for a channel that was closed meanwhile.
            self._say(False, str(error))
            return _NoReply(again=True)
        self._say(True, "")
        return reply

    def _connected(self) -> "grpc.Channel":
        import grpc

        with self._lock:
            if self._closed:
                raise ValueError("the connection to the collector is closed")
            if self._channel is None:
                where = urlsplit(self.endpoint)
                options = [("grpc.max_receive_message_length", REPLY_BYTES_MAX)]
                if where.scheme == "https":
                    credentials = grpc.ssl_channel_credentials()
                    self._channel = grpc.secure_channel(where.netloc, credentials, options)
                else:
                    self._channel = grpc.insecure_channel(where.netloc, options)
            return self._channel

    def _say(self, answers: bool, why: str) -> None:
        if answers == self._answers or self._closed:
            return
        if not answers:
            _log.warning("otlp_collector_unreachable", endpoint=self.endpoint, why=why)
        elif self._answers is False:
            _log.info("otlp_collector_reached", endpoint=self.endpoint)
        self._answers = answers


class Outbox:
    """Spans that wait for the collector, and the thread that takes them there."""

    def __init__(
        self,
        collector: Collector,
        spans_max: int,
        rng: Random,
        every_s: float = SEND_EVERY_S,
    ) -> None:
        self._collector = collector
        self._spans_max = spans_max
        self._batch_max = min(BATCH_SPANS_MAX, spans_max)
        self._rng = rng
        self._every_s = every_s
        self._waiting: deque[ReadableSpan] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, span: ReadableSpan) -> None:
        """Never waits: when the queue is full, the span is counted and gone."""
        with self._lock:
            if len(self._waiting) >= self._spans_max or self._stopping.is_set():
                self.dropped += 1
                return
            self._waiting.append(span)
            full = len(self._waiting) == self._batch_max
        if full:
            self._wake.set()

    def stop(self, bound_s: float) -> None:
        """Sends what waits, for at most `bound_s`; the rest is counted."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(bound_s)
        self._collector.close()
        self._thread.join(bound_s)
        with self._lock:
            self.dropped += len(self._waiting)
            if not self._thread.is_alive():
                self._waiting.clear()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            while self._waiting and not self._stopping.is_set():
                if self._send():
                    failures = 0
                    continue
                pause = delay_s(failures, self._rng, base_s=PAUSE_S_BASE, delay_s_max=PAUSE_S_MAX)
                failures += 1
                self._stopping.wait(pause)
        while self._waiting and self._send():
            pass

    def _send(self) -> bool:
        """Takes one batch there. False: it stays in the queue, try later."""
        with self._lock:
            batch = list(islice(self._waiting, self._batch_max))
        lost = self._collector.send_spans(batch)
        if lost is None:
            return False
        with self._lock:
            for _ in batch:
                self._waiting.popleft()
            self.dropped += lost
        return True
