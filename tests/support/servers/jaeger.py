"""Jaeger v2 by the configuration that ships, where its binary is in the path."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.support.nodes import free_ports
from tests.support.servers.process import not_run, serving

CONFIG = Path(__file__).resolve().parents[3] / "deploy" / "jaeger.yaml"
NAMES = ("JAEGER_OTLP_PORT", "JAEGER_UI_PORT", "JAEGER_GRPC_PORT", "JAEGER_HEALTH_PORT")
REMEDY = "docs/traces.md says how to get it; put `jaeger` into the path"


@dataclass(frozen=True)
class Jaeger:
    endpoint: str
    ui: str

    def trace(self, trace_id: str) -> list[Any]:
        """Spans as its API tells them; blocks."""
        try:
            with urlopen(f"{self.ui}/api/traces/{trace_id}", timeout=5) as answer:
                (found,) = json.load(answer)["data"]
        except OSError:  # Also 404: it has not come yet.
            return []
        return [
            {**span, "process": found["processes"][span["processID"]]} for span in found["spans"]
        ]


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    binary = shutil.which("jaeger")
    if binary is None:
        not_run("Jaeger", REMEDY)
    ports = free_ports(len(NAMES))
    env = {name: str(port) for name, port in zip(NAMES, ports, strict=True)}
    with serving([binary, "--config", CONFIG], ports[0], folder / "jaeger.log", env=env):
        yield Jaeger(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
