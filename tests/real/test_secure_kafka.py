"""Kafka with TLS, client certificates and logins: what works, and what is said of each thing that does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from kcfix.core.events import Message
from kcfix.core.ports.kafka import KafkaPort, SendState
from kcfix.errors import AccessDenied, KcfixError, Unreachable, UsageError
from kcfix.flow import Flow
from tests.real.certificates import KEY_PASSWORD, Authority, Pair
from tests.real.secure_broker import Broker, broker, keystore, plain_users, server_certificates

USER, PASSWORD = "operator", "op-pass-word"
SCRAM_USER = "o=p,erator"
"""Both letters have a meaning of their own in SCRAM."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("kcfix-client")


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Broker]:
    shown = {name: keystore(pair) for name, pair in server_certificates(authority).items()}
    time.sleep(1)  # until the expired one has expired
    trust = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.certificate)}
    listeners = (
        ("tls", "SSL", shown["good"]),
        ("mutual", "SSL", {**shown["good"], **trust, "ssl.client.auth": "required"}),
        ("other", "SSL", shown["other"]),
        ("expired", "SSL", shown["expired"]),
        (
            "tlsplain",
            "SASL_SSL",
            {**shown["good"], "sasl.enabled.mechanisms": "PLAIN", **plain_users({USER: PASSWORD})},
        ),
        ("barescram", "SASL_PLAINTEXT", {"sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512", **_SCRAM}),
        ("scram", "SASL_SSL", {**shown["good"], "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512", **_SCRAM}),
    )
    scram = tuple(f"SCRAM-SHA-{n}=[name={name},password={PASSWORD}]" for n in (256, 512) for name in (USER,))
    with broker(authority, listeners, users={USER: PASSWORD}, scram=scram) as running:
        yield running


_SCRAM = {
    f"scram-sha-{n}.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    for n in (256, 512)
}


def whole(kafka: KafkaPort) -> None:
    """Ask, send and read: the whole of what goes over the wire."""
    try:
        assert set(Flow().topics) <= set(kafka.topics())
        [sent] = kafka.send([Message(Flow().purchase_confirmed, b"key", b"value", ())])
        assert sent.state is SendState.ACKNOWLEDGED
    finally:
        kafka.close()


def failure(kafka: KafkaPort) -> KcfixError:
    with pytest.raises(KcfixError) as caught:
        kafka.topics()
    kafka.close()
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


# what works


def test_tls_with_an_authority_of_ones_own(secure: Broker) -> None:
    whole(secure.open("tls", ssl_cafile=str(secure.authority.certificate)))


def test_a_client_certificate(secure: Broker, client: Pair) -> None:
    whole(_mutual(secure, client.certificate, client.key))


def test_a_client_certificate_with_its_key_in_the_same_file(secure: Broker, client: Pair) -> None:
    whole(_mutual(secure, client.together(), None))


def test_a_key_under_a_password(secure: Broker, client: Pair, tmp_path: Path) -> None:
    locked = secure.authority.locked(client)
    whole(_mutual(secure, client.certificate, locked, ssl_password=KEY_PASSWORD))
    file = tmp_path / "word"
    file.write_text(KEY_PASSWORD + "\n")
    whole(_mutual(secure, client.certificate, locked, ssl_password_file=str(file)))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_over_tls(secure: Broker, mechanism: str) -> None:
    whole(_login(secure, "scram", mechanism))


def test_a_user_with_letters_in_his_name_that_scram_has_a_use_for(secure: Broker) -> None:
    with closing(secure.admin()) as admin:
        told = admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(SCRAM_USER, ScramMechanism.SCRAM_SHA_512, PASSWORD.encode())]
        )
    assert told == {SCRAM_USER: None}
    end = time.monotonic() + 10
    while True:
        try:
            return whole(_login(secure, "scram", "SCRAM-SHA-512", user=SCRAM_USER))
        except AccessDenied:
            # The broker has it from its controller a little later.
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_without_tls(secure: Broker, mechanism: str) -> None:
    whole(_login(secure, "barescram", mechanism))


def test_plain_over_tls(secure: Broker) -> None:
    whole(_login(secure, "tlsplain", "PLAIN"))


def test_plain_over_tls_tells_no_password_to_a_broker_that_is_not_trusted(secure: Broker) -> None:
    error = failure(
        secure.open("tlsplain", sasl_mechanism="PLAIN", sasl_plain_username=USER, sasl_plain_password=PASSWORD)
    )
    assert "certificate is not trusted" in error.message


@pytest.mark.parametrize(("listener", "mechanism"), [("tlsplain", "PLAIN"), ("barescram", "SCRAM-SHA-256")])
def test_a_wrong_password_on_the_other_two_ways(secure: Broker, listener: str, mechanism: str) -> None:
    error = failure(_login(secure, listener, mechanism, password="not-it"))  # noqa: S106
    assert isinstance(error, AccessDenied)
    assert f"the broker refused the login of {USER} by SASL {mechanism}" in error.message


def test_plain_without_tls(secure: Broker) -> None:
    whole(_login(secure, "password", "PLAIN"))


def test_a_certificate_of_another_name_where_that_was_asked_for(secure: Broker) -> None:
    whole(secure.open("other", ssl_cafile=str(secure.authority.certificate), ssl_check_hostname=False))


# what is said of what does not


def test_an_authority_that_is_not_known_here(secure: Broker, stranger: Authority) -> None:
    for authority in (None, str(stranger.certificate)):
        error = failure(secure.open("tls", ssl_cafile=authority))
        assert isinstance(error, Unreachable)
        assert "the broker's certificate is not trusted: its authority is not known here" in error.message
        assert "ssl_cafile" in str(error.hint)


def test_a_certificate_of_another_name(secure: Broker) -> None:
    error = failure(secure.open("other", ssl_cafile=str(secure.authority.certificate)))
    assert "the broker's certificate is for another name than localhost" in error.message
    assert "ssl_check_hostname" in str(error.hint)


def test_a_certificate_that_has_expired(secure: Broker) -> None:
    for check in (True, False):
        error = failure(secure.open("expired", ssl_cafile=str(secure.authority.certificate), ssl_check_hostname=check))
        assert "the broker's certificate has expired" in error.message


def test_a_client_certificate_that_is_demanded(secure: Broker) -> None:
    error = failure(_mutual(secure, None, None))
    assert isinstance(error, AccessDenied)
    assert "the broker demands a client certificate, and none is set" in error.message
    assert "ssl_certfile" in str(error.hint)


def test_a_client_certificate_of_an_authority_that_the_broker_does_not_know(
    secure: Broker, stranger: Authority
) -> None:
    other = stranger.issue("someone")
    error = failure(_mutual(secure, other.certificate, other.key))
    assert isinstance(error, AccessDenied)
    assert "client certificate" in error.message


def test_a_key_under_a_password_that_is_not_given_or_wrong(secure: Broker, client: Pair) -> None:
    locked = secure.authority.locked(client)
    error = failure(_mutual(secure, client.certificate, locked))
    assert isinstance(error, UsageError)
    assert f"ssl_keyfile {locked}: it is encrypted and no password is set" in error.message
    error = failure(_mutual(secure, client.certificate, locked, ssl_password="another"))  # noqa: S106
    assert f"ssl_keyfile {locked}: its password is wrong" in error.message


def test_a_key_of_another_certificate(secure: Broker, client: Pair, stranger: Authority) -> None:
    error = failure(_mutual(secure, client.certificate, stranger.issue("someone-else").key))
    assert "the key does not belong to it" in error.message


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password(secure: Broker, mechanism: str) -> None:
    listener = "password" if mechanism == "PLAIN" else "scram"
    error = failure(_login(secure, listener, mechanism, password="not-it"))  # noqa: S106
    assert isinstance(error, AccessDenied)
    assert f"the broker refused the login of {USER} by SASL {mechanism}" in error.message
    assert "not-it" not in error.message


def test_a_user_whom_the_broker_does_not_know(secure: Broker) -> None:
    error = failure(_login(secure, "scram", "SCRAM-SHA-512", user="stranger"))
    assert "the broker refused the login of stranger by SASL SCRAM-SHA-512" in error.message


def test_a_mechanism_that_is_not_offered(secure: Broker) -> None:
    error = failure(_login(secure, "password", "SCRAM-SHA-512"))
    assert isinstance(error, AccessDenied)
    assert "the broker does not take SASL SCRAM-SHA-512 (it offers: PLAIN)" in error.message
    error = failure(_login(secure, "scram", "PLAIN"))
    assert "it offers: SCRAM-SHA-" in error.message


def test_a_listener_of_another_protocol(secure: Broker) -> None:
    error = failure(secure.open("tls", security_protocol="PLAINTEXT"))
    assert "security_protocol" in str(error.hint)
    error = failure(secure.open("password", security_protocol="PLAINTEXT"))
    assert "security_protocol" in str(error.hint)
    error = failure(secure.open("password", security_protocol="SSL"))
    assert "TLS" in error.message
    assert "security_protocol" in str(error.hint)


def _mutual(secure: Broker, certificate: Path | None, key: Path | None, **more: str) -> KafkaPort:
    return secure.open(
        "mutual",
        ssl_cafile=str(secure.authority.certificate),
        ssl_certfile=str(certificate) if certificate else None,
        ssl_keyfile=str(key) if key else None,
        **more,
    )


def _login(secure: Broker, listener: str, mechanism: str, *, user: str = USER, password: str = PASSWORD) -> KafkaPort:
    return secure.open(
        listener,
        sasl_mechanism=mechanism,
        sasl_plain_username=user,
        sasl_plain_password=password,
        ssl_cafile=str(secure.authority.certificate) if listener in ("scram", "tlsplain") else None,
    )
