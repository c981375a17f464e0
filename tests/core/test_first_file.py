"""The first settings file: it can be read back as what was found, and holds no password."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.core.setup.dsn import database_address, database_user, with_password, without_password
from kcfix.core.setup.first_file import FoundSystem, first_file
from kcfix.settings import load

WORD = "made-up-word"
FOUND = FoundSystem(
    brokers=("kafka:9092", "kafka-2:9093"),
    brokers_from="container kc-purchase-worker",
    address_map={"kafka:9092": "127.0.0.1:29092"},
    kafka={"security_protocol": "SASL_SSL", "sasl_plain_username": "kc", "sasl_plain_password": WORD},
    dsn=f"postgresql://kc:{WORD}@db.example:5432/kc_app?sslmode=require",
    dsn_from="container kc-purchase-worker",
    payments_dsn=f"host=pay.example user=kc password='{WORD}'",
    project="kc-backend",
)


@pytest.mark.parametrize("context", [None, "prod", 'a "strange" näme.x'])
def test_it_is_read_back_as_what_was_found_without_a_password(tmp_path: Path, context: str | None) -> None:
    text = first_file(FOUND, context=context, may_run=True, written="Written by a test")
    assert WORD not in text
    (tmp_path / "kcfix.toml").write_text(text)
    settings = load({"context": context}, {"HOME": str(tmp_path)}, tmp_path)
    assert settings.warnings == ()
    assert (settings.brokers, settings.project) == (FOUND.brokers, "kc-backend")
    assert settings.address_map == {"kafka:9092": "127.0.0.1:29092"}
    assert settings.kafka == {"security_protocol": "SASL_SSL", "sasl_plain_username": "kc"}
    assert settings.dsn == "postgresql://kc@db.example:5432/kc_app?sslmode=require"
    assert settings.payments_dsn == "host=pay.example user=kc"
    assert settings.protected is False


def test_where_nothing_was_found_it_is_all_comments() -> None:
    text = first_file(FoundSystem(), context=None, may_run=False, written="Written by a test")
    assert tomllib.loads(text) == {}
    assert "# brokers = [" in text


def test_every_commented_setting_can_be_uncommented(tmp_path: Path) -> None:
    text = first_file(FoundSystem(), context=None, may_run=True, written="Written by a test")
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    (tmp_path / ".config" / "kcfix").mkdir(parents=True)
    (tmp_path / ".config" / "kcfix" / "config.toml").write_text("\n".join(lines))
    settings = load({}, {"HOME": str(tmp_path)}, tmp_path)
    assert settings.warnings == ()
    assert settings.protected is True
    assert settings.password_command == ("pass", "show", "kcfix")


def test_a_pointer_that_was_given_is_written() -> None:
    found = FoundSystem(password_file="/run/p", password_command=("pass", "show", "a b"))  # noqa: S106
    text = first_file(found, context=None, may_run=True, written="Written by a test")
    assert tomllib.loads(text) == {"password_file": "/run/p", "password_command": ["pass", "show", "a b"]}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_valid_toml(text: str) -> None:
    written = first_file(FoundSystem(brokers=(text,)), context=text or None, may_run=True, written="x")
    tables = tomllib.loads(written)
    table = tables["contexts"][text] if text else tables
    assert table["brokers"] == [text]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_password_is_put_into_a_dsn_and_taken_out_again(password: str) -> None:
    for bare in ("postgresql://kc@db.example:5432/kc_app?sslmode=require", "host=db.example user=kc dbname=kc_app"):
        full = with_password(bare, password)
        assert without_password(full) == bare
        assert str(database_address(full)) == "db.example:5432/kc_app"
        assert database_user(full) == "kc"
