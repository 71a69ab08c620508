"""Authorities for tests; scrypt takes a fifth of a second, so each is made only when asked for."""

from pathlib import Path

import pytest
from identity_world import PASSPHRASE

from identity.authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", "prod", PASSPHRASE)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """Another authority, of a cluster that has the same name."""
    return Authority.create(tmp_path / "stranger", "prod", PASSPHRASE)
