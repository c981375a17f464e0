"""Rights, the lines that give them, and what is told of those that are missing."""

from __future__ import annotations

import pytest

from kcfix.core.rights import MissingRights, Right, acl, grant, principal


@pytest.mark.parametrize(
    ("right", "words", "line"),
    [
        (Right("SELECT", "table", "payments"), "SELECT on table payments", "GRANT SELECT ON payments TO kcfix;"),
        (Right("USAGE", "schema", "shop"), "USAGE on schema shop", "GRANT USAGE ON SCHEMA shop TO kcfix;"),
    ],
)
def test_a_right_of_the_database_has_its_grant(right: Right, words: str, line: str) -> None:
    assert (str(right), grant(right, "kcfix")) == (words, line)


@pytest.mark.parametrize(
    ("right", "words", "ending"),
    [
        (Right("Read", "topic", "a topic"), "Read on topic a topic", "--operation Read --topic 'a topic'"),
        (Right("Describe", "group", "g"), "Describe on group g", "--operation Describe --group g"),
        (
            Right("DescribeConfigs", "cluster", ""),
            "DescribeConfigs on cluster",
            "--operation DescribeConfigs --cluster",
        ),
    ],
)
def test_a_right_of_kafka_has_its_call_of_kafka_acls(right: Right, words: str, ending: str) -> None:
    assert str(right) == words
    assert acl(right, "User:kcfix", "kafka:9092").endswith(f"--add --allow-principal User:kcfix {ending}")


@pytest.mark.parametrize(
    ("user", "certificate", "word"),
    [
        ("kcfix", "", "User:kcfix"),
        ("a user", "client.pem", "'User:a user'"),
        ("", "", "User:ANONYMOUS"),
        ("", "my client.pem", "\"User:$(openssl x509 -in 'my client.pem' -noout -subject -nameopt RFC2253"),
    ],
)
def test_kafka_knows_a_client_by_its_user_else_by_its_certificate(user: str, certificate: str, word: str) -> None:
    assert principal(user, certificate).startswith(word)


def test_what_is_missing_is_told_once_and_not_again_where_it_was_said() -> None:
    missing = MissingRights()
    read, select = Right("Read", "topic", "t"), Right("SELECT", "table", "payments")
    for _ in range(2):
        missing.note(read, "kafka-acls … --topic t")
    missing.note(select, "GRANT SELECT ON payments TO kcfix;")
    assert len(missing.told()) == 2
    assert missing.told("hint: GRANT SELECT ON payments TO kcfix;") == (
        "missing right: Read on topic t; this gives it: kafka-acls … --topic t",
    )
