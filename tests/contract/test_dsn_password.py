"""libpq reads a password from a DSN as it was put there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from kcfix.adapters.postgres_address import parse_address
from kcfix.core.setup.dsn import with_password

BARE = (
    "postgresql://kc@db.example:5432/kc_app?sslmode=require",
    "postgresql://db.example/kc_app",
    "postgresql://kc:old@[::1]:5432/kc_app",
    "host=db.example user=kc password=old",
)


@pytest.mark.parametrize("bare", BARE)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_libpq_reads_the_very_password(bare: str, password: str) -> None:
    full = with_password(bare, password)
    assert conninfo_to_dict(full)["password"] == password
    assert parse_address(full, timeout_seconds=1, application_name="x").parameters["password"] == password
