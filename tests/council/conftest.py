"""The suite of the contract is inherited by tests: its asserts explain themselves too."""

import pytest

pytest.register_assert_rewrite("tests.council.conformance")
