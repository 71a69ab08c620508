"""Where a dev cluster sends its traces: to a Jaeger, by its usual ports."""

from collections.abc import Mapping

from multicloud.whois import split

OTLP_PORT, UI_PORT = 4317, 16686
NO_TRACES: Mapping[str, str] = {}


def jaeger_at(address: str) -> Mapping[str, str]:
    """Options of `[telemetry]`. Without a port: the usual one of OTLP over gRPC."""
    if not address:
        return NO_TRACES
    host, port = split(address if ":" in address else f"{address}:{OTLP_PORT}")
    return {
        "otlp_endpoint": f"http://{host}:{port}",
        "traces_ui": f"http://{host}:{UI_PORT}",
    }
