"""The small words that decisions are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Domain:
    """Where a node stands. Without a zone a node is a failure domain of its own."""

    cloud: str
    region: str
    zone: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.cloud, self.region, self.zone) if part)
