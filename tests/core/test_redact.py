"""Secrets never leave."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.clean import clean
from kcfix.core.redact import may_hold_secret, redact, redact_arguments, redact_value, secrets_of
from kcfix.jsonable import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:pw@h/d", "postgresql://u:***@h/d"),
        ("postgres://u:p@w:x/y@h:5432/d and more", "postgres://u:***@h:5432/d and more"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://:pw@h/d", "postgresql://:***@h/d"),
        ("a redis://default:pw@cache:6379 b", "a redis://default:***@cache:6379 b"),
        ("password=pw host=h", "password=*** host=h"),
        ("POSTGRES_PASSWORD: pw", "POSTGRES_PASSWORD: ***"),
        ('{"sasl_plain_password": "pw"}', '{"sasl_plain_password": ***}'),
        ("apiKey=pw&x=1", "apiKey=***&x=1"),
        ("password authentication failed for user u", "password authentication failed for user u"),
        ("group purchase-creation-workers", "group purchase-creation-workers"),
    ],
)
def test_secrets_are_told_by_their_form(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    assert redact("xx made-up yy", {"made-up"}) == "xx *** yy"


def test_a_very_short_secret_does_not_mask_every_word() -> None:
    assert redact("a db", {"a"}) == "a db"


def test_the_password_of_a_dsn_is_known_as_written_and_as_decoded() -> None:
    assert secrets_of("postgresql://u:p%40ssword@h/d") == {"p%40ssword", "p@ssword"}
    assert secrets_of("host=h password='made up'") == {"made up"}
    assert secrets_of("postgresql://h/d") == frozenset()
    assert secrets_of(None) == frozenset()


def test_tables_are_walked() -> None:
    assert redact_value("kafka", {"sasl_plain_password": "x", "other": ["postgresql://u:x@h/d", 1]}) == {
        "sasl_plain_password": "***",
        "other": ["postgresql://u:***@h/d", 1],
    }


def test_a_command_line_is_fit_to_be_written_down() -> None:
    argv = ("repair", "--dsn", "postgresql://u:pw@h/d", "--some-password", "pw", "--token=pw", "id")
    assert redact_arguments(argv) == (
        "repair",
        "--dsn",
        "postgresql://u:***@h/d",
        "--some-password",
        "***",
        "--token=***",
        "id",
    )


@given(st.text())
def test_clean_text_is_one_line_without_control_characters(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == clean(cleaned)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in cleaned)


@given(st.text())
def test_no_text_breaks_redaction(text: str) -> None:
    redact(text, {"made-up"})


def test_redaction_of_a_huge_line_is_quick() -> None:
    redact("a" * 1_000_000 + "://" + "b" * 1_000_000)
    redact("x-" * 200_000)
    redact("http://" * 20_000)


@given(
    st.dictionaries(
        st.sampled_from(["payment_id", "password", "why", "Api-Key"]) | st.text(max_size=8),
        st.text(max_size=30) | st.sampled_from(["postgresql://u:pw@h/d", "token=x", 'a "quoted" öpen', "password"]),
        max_size=4,
    ),
    st.sets(st.sampled_from(['a "quoted" öpen', "h/d", "abc", "öpen"])),
)
def test_what_is_said_to_hold_no_secret_is_masked_nowhere(record: dict[str, str], secrets: set[str]) -> None:
    for text in (json.dumps(record), json.dumps(record, ensure_ascii=False)):
        if not may_hold_secret(text, secrets):
            assert plain(redact_value("", record), lambda part: redact(part, secrets)) == plain(record)


@pytest.mark.parametrize(
    "word",
    ["password", "PASSWD", "db_pwd", "secretive", "Token", "apikey", "API_KEY", "credentials", "pa\u017f\u017fword"],
)
def test_no_word_that_sounds_secret_escapes_the_quick_look(word: str) -> None:
    text = f'{{"{word}": "7"}}'
    assert may_hold_secret(text)
    assert may_hold_secret(f'{{"note": "\u20b9"}}{text}')
    assert not may_hold_secret('{"capital": "api", "spawd": "\u20b9"}')
