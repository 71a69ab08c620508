"""What a second's samples say: a gauge as it stands, a counter per second, what was observed as its
mean. Totals become differences, so a restart makes no peak.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nodeagent.telemetry import Sample, label_of

# By method and code these are many; `/metrics` has them.
LEFT_OUT = frozenset({"rpc.server.call.duration"})


@dataclass(slots=True)
class Sampler:
    _before: Mapping[str, Sample] = field(default_factory=dict)

    def figures(self, samples: Iterable[Sample], passed_s: float) -> dict[str, float]:
        now = {series(one): one for one in samples if one.name not in LEFT_OUT}
        found: dict[str, float] = {}
        for name, one in now.items():
            if not one.counter and one.count is None:
                found[name] = one.value
                continue
            before = self._before.get(name)
            if before is None:
                continue
            change = one.value - before.value
            if one.counter:
                found[name] = max(0.0, change) / passed_s
            elif (count := (one.count or 0) - (before.count or 0)) > 0:
                found[name] = change / count
        self._before = now
        return found


def series(sample: Sample) -> str:
    """`mc.peers{state=alive}`: a metric and its labels, as `mcctl history` names it."""
    labels = ",".join(f"{label_of(key)}={_plain(value)}" for key, value in sample.labels)
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def parted(name: str) -> tuple[str, dict[str, str]]:
    """A series' metric and labels."""
    metric, _, labels = name.removesuffix("}").partition("{")
    return metric, dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair)


def _plain(value: str) -> str:
    return value.replace(",", ";").replace("}", ")")
