"""Errors over the wire: McError to google.rpc.Status and back. The only place that knows both."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from multicloud.errors import REASONS, FieldFault, McError

DOMAIN = "multicloud.v1"
STATUS_KEY = "grpc-status-details-bin"
_WHERE = "where_"

# What a status without our details means: a proxy, gRPC itself, or another server.
_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: "UNREACHABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE",
    grpc.StatusCode.CANCELLED: "CANCELLED",
    grpc.StatusCode.UNIMPLEMENTED: "UNSUPPORTED",
    grpc.StatusCode.UNAUTHENTICATED: "NO_IDENTITY",
    grpc.StatusCode.PERMISSION_DENIED: "NOT_ALLOWED",
    grpc.StatusCode.NOT_FOUND: "NOT_FOUND",
    grpc.StatusCode.INVALID_ARGUMENT: "BAD_REQUEST",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "TOO_LARGE",
    grpc.StatusCode.DATA_LOSS: "DAMAGE",
}


def code_of(error: McError) -> grpc.StatusCode:
    return grpc.StatusCode[error.row.code]


def encode(error: McError) -> bytes:
    """The bytes of the `grpc-status-details-bin` trailer."""
    status = status_pb2.Status(code=code_of(error).value[0], message=error.message)
    facts = {**error.facts, "next": error.next, "trace_id": error.trace_id}
    # A violation has no field of its own for the file and line of a fault.
    facts |= {f"{_WHERE}{index}": fault.where for index, fault in enumerate(error.faults)}
    _attach(
        status,
        details.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={k: v for k, v in facts.items() if v}
        ),
    )
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        _attach(status, details.RetryInfo(retry_delay=delay))
    if error.faults:
        _attach(
            status,
            details.BadRequest(
                field_violations=[
                    details.BadRequest.FieldViolation(
                        field=f.field, description=f.rule, reason=f.nearest
                    )
                    for f in error.faults
                ]
            ),
        )
    return bytes(status.SerializeToString())


def _attach(status: status_pb2.Status, detail: object) -> None:
    packed = Any()
    packed.Pack(detail)  # type: ignore[arg-type]
    status.details.append(packed)


def decode(error: grpc.aio.AioRpcError, peer: str = "") -> McError:
    """The McError that the other side meant, or the nearest one when it is not ours."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            found = _decode_status(status_pb2.Status.FromString(value))
            if found:
                return found
    reason = _BY_CODE.get(error.code(), "INTERNAL")
    said = error.details() or error.code().name
    return McError(reason, f"{peer}: {said}" if peer else said)


def _decode_status(status: status_pb2.Status) -> McError | None:
    info, retry, bad = details.ErrorInfo(), details.RetryInfo(), details.BadRequest()
    for detail in status.details:
        for message in (info, retry, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    if info.domain != DOMAIN or info.reason not in REASONS:
        return None
    facts = dict(info.metadata)
    places = [facts.pop(f"{_WHERE}{index}", "") for index in range(len(bad.field_violations))]
    delay = retry.retry_delay
    return McError(
        info.reason,
        status.message,
        next=facts.pop("next", ""),
        trace_id=facts.pop("trace_id", ""),
        facts=facts,
        retry_after_s=delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
        faults=[
            FieldFault(violation.field, violation.description, where, violation.reason)
            for violation, where in zip(bad.field_violations, places, strict=True)
        ],
    )
