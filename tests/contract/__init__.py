"""One class of tests for each port, run on its fake and on the real adapter."""

import pytest

pytest.register_assert_rewrite(
    "tests.contract.database_inserting", "tests.contract.database_reading", "tests.contract.database_world"
)
