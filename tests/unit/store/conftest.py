"""The suite of the store's contract is inherited by tests: its asserts explain themselves too."""

import pytest

pytest.register_assert_rewrite("tests.unit.store.conformance", "tests.unit.store.store_world")
