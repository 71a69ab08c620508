"""The machine that figures are of: said once with every table, and compared before figures are."""

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import psutil

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    processor: str
    cores: int
    memory_gib: int
    kernel: str
    python: str

    @classmethod
    def here(cls) -> "Machine":
        return cls(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(psutil.virtual_memory().total / GIB),
            kernel=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
        )

    def fields(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib} GiB, "
            f"{self.kernel}, Python {self.python}"
        )

    def like(self, other: dict[str, Any]) -> bool:
        """Whether figures of both may be compared; a newer kernel is a reason to compare."""
        mine = self.fields()
        return all(mine[key] == other.get(key) for key in ("processor", "cores", "memory_gib"))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
