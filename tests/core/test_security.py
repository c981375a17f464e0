"""Security options of the Kafka client that do not go together."""

from __future__ import annotations

import pytest

from kcfix.core.setup.security import problem_in

LOGIN = {"sasl_mechanism": "PLAIN", "sasl_plain_username": "u", "sasl_plain_password": "p"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"security_protocol": "PLAINTEXT"},
        {"security_protocol": "SSL"},
        {"security_protocol": "SSL", "ssl_certfile": "c.pem", "ssl_keyfile": "k.pem", "ssl_check_hostname": False},
        {"security_protocol": "SASL_PLAINTEXT", **LOGIN},
        {"security_protocol": "SASL_SSL", "ssl_cafile": "ca.pem", **LOGIN, "sasl_mechanism": "SCRAM-SHA-512"},
    ],
)
def test_these_can_be_tried(options: dict[str, object]) -> None:
    assert problem_in(options) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"security_protocol": "TLS"}, "security_protocol is TLS: one of PLAINTEXT, SSL"),
        ({"ssl_cafile": "ca.pem"}, "ssl_cafile is set, but security_protocol is PLAINTEXT"),
        ({"ssl_check_hostname": False}, "ssl_check_hostname is set, but security_protocol is PLAINTEXT"),
        ({"security_protocol": "SASL_PLAINTEXT", **LOGIN, "ssl_certfile": "c"}, "ssl_certfile is set, but"),
        ({"security_protocol": "SSL", **LOGIN}, "sasl_mechanism is set, but security_protocol is SSL"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism is not given: one of PLAIN, SCRAM-SHA-256"),
        ({"security_protocol": "SASL_SSL", **LOGIN, "sasl_mechanism": "GSSAPI"}, "sasl_mechanism is GSSAPI"),
        ({"security_protocol": "SASL_SSL", **LOGIN, "sasl_plain_password": ""}, "sasl_plain_password is missing"),
        ({"security_protocol": "SSL", "ssl_keyfile": "k.pem"}, "ssl_keyfile is set without ssl_certfile"),
    ],
)
def test_these_are_refused(options: dict[str, object], told: str) -> None:
    assert told in str(problem_in(options))
