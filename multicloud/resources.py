"""Finds what ships beside the code: example configurations, regions, the systemd unit."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """`config/regions.toml` in the installed wheel, or in the checkout it is developed in."""
    for base in (_HERE / "data", _HERE.parent):
        if (base / name).exists():
            return base / name
    raise FileNotFoundError(f"{name} is not part of this installation of multicloud")
