"""The council of a single process keeps the contract."""

import pytest

from nodeagent.council.inmemory import InMemoryCouncil
from tests.council.conformance import CouncilConformance


class TestInMemoryCouncil(CouncilConformance):
    @pytest.fixture
    def council(self) -> InMemoryCouncil:
        return InMemoryCouncil()
