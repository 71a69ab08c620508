"""One authority and one real installation for all tests of the installer: each takes seconds."""

import pytest
from install_world import World, bundle_of, world, written

from identity.authority import Authority
from identity.bundle import NodeBundle
from nodeagent.install.installer import install


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority") / "ca", "prod", "a passphrase")


@pytest.fixture(scope="session")
def bundle(authority: Authority) -> NodeBundle:
    return bundle_of(authority)


@pytest.fixture(scope="session")
def installed(bundle: NodeBundle, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A machine with a node on it. Tests that change it work on a copy of its small files."""
    made = world(tmp_path_factory.mktemp("machine"))
    install(written(bundle, tmp_path_factory.mktemp("bundle")), made.machine, start=True)
    return made
