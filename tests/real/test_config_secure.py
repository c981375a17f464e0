"""`config check` on a broker with TLS, logins and ACLs, reached by kcfix as a process: what is wrong, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.certificates import Authority
from tests.real.conftest import Kcfix, Ran
from tests.real.secure_broker import ADMIN, Broker, broker, keystore, server_certificates

USER, WORD = "operator", "op-pass-word"
RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{ADMIN};User:ANONYMOUS",
}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker on which `operator` may log in and has no right to anything."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    shown = server_certificates(authority)
    listeners = (("tls", "SSL", keystore(shown["good"])), ("other", "SSL", keystore(shown["other"])))
    with broker(authority, listeners, users={USER: WORD}, settings=RIGHTS) as running:
        yield running


@pytest.fixture
def check(kcfix_anywhere: Kcfix, secure: Broker, tmp_path: Path) -> Any:
    """`config check` of Kafka alone, by one of the listeners, with these settings."""

    def call(listener: str, kafka: dict[str, str], environ: dict[str, str] | None = None, **more: str) -> Ran:
        options = ", ".join(f"{name} = {json.dumps(value)}" for name, value in kafka.items())
        lines = [f"brokers = {json.dumps([secure.listeners[listener].address])}", f"kafka = {{ {options} }}"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
        (tmp_path / "kcfix.toml").write_text("\n".join(["[contexts.tried]", *lines]))
        argv = ("-C", "tried", "config", "check", "-o", "json", "--docker-host", f"unix://{tmp_path}/none.sock")
        ran = kcfix_anywhere(*argv, environ=environ)
        assert WORD not in ran.out + ran.err
        assert "Traceback" not in ran.err
        return ran

    return call


def kafka_rows(ran: Ran) -> dict[str, dict[str, Any]]:
    return {r["check"]: r for r in ran.rows if r["system"] == "kafka"}


def login(user: str = USER, **more: str) -> dict[str, str]:
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        **more,
    }


def test_tls_that_is_trusted_and_tls_that_is_not(check: Any, secure: Broker) -> None:
    trusted = {"security_protocol": "SSL", "ssl_cafile": str(secure.authority.certificate)}
    assert {r["status"] for r in kafka_rows(check("tls", trusted)).values()} == {"OK", "CAUTION"}
    for listener, options, words in (
        ("tls", {"security_protocol": "SSL"}, "is not trusted"),
        ("other", trusted, "for another name"),
    ):
        ran = check(listener, options)
        found = kafka_rows(ran)["cluster"]
        assert (ran.code, found["obstacle"]) == (4, "tls")
        assert words in found["text"]


def test_a_wrong_password_and_none(check: Any, tmp_path: Path) -> None:
    ran = check("password", login(), {"KCFIX_KAFKA_PASSWORD": "wrong-word"})
    assert (ran.code, kafka_rows(ran)["cluster"]["obstacle"]) == (4, "authentication")
    assert "wrong-word" not in ran.out + ran.err
    ran = check("password", login())
    assert (ran.code, "sasl_plain_password is missing" in kafka_rows(ran)["cluster"]["text"]) == (2, True)


def test_a_missing_right_is_named_with_the_line_that_gives_it(check: Any, tmp_path: Path) -> None:
    (tmp_path / "word").write_text(f"{WORD}\n")
    ran = check("password", login(), kafka_password_file=str(tmp_path / "word"))
    found = kafka_rows(ran)["cluster"]
    assert (ran.code, found["obstacle"]) == (4, "missing_right")
    assert found["hint"].startswith("kafka-acls --bootstrap-server localhost:")
    assert f"--allow-principal User:{USER} --operation Describe --topic" in found["hint"]
