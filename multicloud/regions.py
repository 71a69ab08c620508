"""Typical round-trip times and egress prices between regions, read from `config/regions.toml`.

An estimate for before anything is measured. A pair that is not listed gets the figure of
its relation: same zone, same region, or unknown.
"""

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from multicloud.errors import McError
from multicloud.resources import resource


class Standing(Protocol):
    """Where something stands. An empty zone is a place of its own."""

    @property
    def cloud(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def zone(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Region:
    """A region's continent and its egress prices, in dollars for a gigabyte (10^9 bytes)."""

    continent: str
    zone: float
    near: float
    far: float
    internet: float


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Figures for what is not listed."""

    same_node_ms: float
    same_zone_ms: float
    same_region_ms: float
    unknown_ms: float
    unknown_usd_per_gb: float


@dataclass(frozen=True, slots=True)
class Regions:
    times_of: datetime.date
    prices_of: datetime.date
    otherwise: Otherwise
    by_name: Mapping[str, Region]
    pairs_ms: Mapping[frozenset[str], float]

    def rtt_ms(self, a: Standing, b: Standing) -> float:
        """The typical time from `a` to `b` and back; the same in both directions."""
        if _name(a) != _name(b):
            return self.pairs_ms.get(frozenset((_name(a), _name(b))), self.otherwise.unknown_ms)
        same_zone = a.zone == b.zone and a.zone != ""
        return self.otherwise.same_zone_ms if same_zone else self.otherwise.same_region_ms

    def egress_usd_per_gb(self, a: Standing, b: Standing) -> float:
        """What a gigabyte costs that leaves `a` for `b`. To receive is free everywhere."""
        if _name(a) == _name(b) and a.zone == b.zone and a.zone:
            return 0.0
        here, there = self.by_name.get(_name(a)), self.by_name.get(_name(b))
        if here is None:
            return self.otherwise.unknown_usd_per_gb
        if a.cloud != b.cloud:
            return here.internet
        if a.region == b.region:
            return here.zone
        near = there is not None and there.continent == here.continent
        return here.near if near else here.far


def load(path: Path | None = None) -> Regions:
    """The regions of `path`, or those that ship with the software."""
    source = path or resource("config/regions.toml")
    try:
        return _parse(tomllib.loads(source.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        # Whatever shape the file has instead, the person who edits it needs file and key.
        said = f"{type(wrong).__name__}: {wrong}"
        raise McError("CONFIG_INVALID", f"{source} is no list of regions: {said}") from wrong


def _parse(text: Mapping[str, Any]) -> Regions:
    regions = {name: Region(**row) for name, row in text["regions"].items()}
    pairs: dict[frozenset[str], float] = {}
    for a, row in text["rtt_ms"].items():
        for b, ms in row.items():
            pair = frozenset((a, b))
            if pair in pairs or not {a, b} <= regions.keys() or a == b:
                raise ValueError(f"{a} to {b}: a pair stands once, between two listed regions")
            if not ms > 0:
                raise ValueError(f"{a} to {b}: {ms} is no time above 0")
            pairs[pair] = float(ms)
    otherwise = Otherwise(**text["otherwise"])
    return Regions(text["times_of"], text["prices_of"], otherwise, regions, pairs)


def _name(place: Standing) -> str:
    return f"{place.cloud}/{place.region}"
