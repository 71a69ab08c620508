"""Servers for tests of clouds: one of each for a process of the suite, with a bucket a test."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.servers.azurite import azurite
from tests.support.servers.gcs import gcs
from tests.support.servers.moto import moto
from tests.support.servers.swift import swift

_numbers = count()


@pytest.fixture
def name() -> str:
    """Of a bucket that nobody else has."""
    return f"bucket-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="session")
def swift_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("swift")
    with swift(folder) as url:
        yield url


@pytest.fixture(scope="session")
def gcs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gcs(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture(scope="session")
def azurite_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with azurite(tmp_path_factory.mktemp("azurite")) as url:
        yield url


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def url_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The url of the server of a kind."""
    names = {"s3": "swift_url", "gs": "gcs_url", "az": "azurite_url"}
    return lambda kind: str(request.getfixturevalue(names[kind]))
