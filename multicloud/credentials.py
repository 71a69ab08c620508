"""What a dialler shows, and which CAs it believes."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
