"""How one endpoint is reached: what drivers need of its configuration."""

from dataclasses import dataclass
from pathlib import Path

from nodeagent.clouds.credentials import CHAIN, Secret

AUTO, AWS, COMPAT = "auto", "aws", "compat"


@dataclass(frozen=True, slots=True)
class Way:
    kind: str
    name: str = ""  # In `[clouds.endpoints]`; empty: the cloud itself, with its own chain.
    url: str = ""  # Empty: the cloud's own.
    region: str = ""
    checksum: str = AUTO
    credentials: Secret = CHAIN
    ca_file: Path | None = None
    requests_at_once_max: int = 32
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0  # Without a byte.

    @property
    def whom(self) -> str:
        """For people: which endpoint this is."""
        cloud = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}[self.kind]
        if not self.name:
            return cloud
        return f"endpoint {self.name} ({self.url or cloud})"

    @property
    def compatible_only(self) -> bool:
        """Whether only what every S3-like store understands is asked of it."""
        return self.checksum == COMPAT or (self.checksum == AUTO and bool(self.url))
