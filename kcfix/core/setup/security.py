"""The security options of the Kafka client (kafka-python's names), and what does not go together among them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

OPTIONS: Mapping[str, str] = {
    "security_protocol": f"{', '.join(f'`{p}`' for p in PROTOCOLS)}; without it `PLAINTEXT`.",
    "sasl_mechanism": f"How to log in: {', '.join(f'`{m}`' for m in MECHANISMS)}.",
    "sasl_plain_username": "The user, for each of these mechanisms.",
    "sasl_plain_password": "The user's password.",
    "ssl_cafile": "Certificates (PEM) of the authorities that are trusted; without it those of this host.",
    "ssl_certfile": "The client's certificate (PEM, with its chain), for brokers that demand one (mutual TLS).",
    "ssl_keyfile": "Its private key (PEM), if that is in a file of its own.",
    "ssl_password": "Password of the private key. Better `KCFIX_KAFKA_KEY_PASSWORD` or `ssl_password_file`.",
    "ssl_password_file": "File with that password.",
    "ssl_check_hostname": "`false`: take a certificate whatever name it is for. What is checked is the name that the "
    "broker advertises, also where an address map leads elsewhere.",
}
"""What each is for, in Markdown."""
_FOR_TLS = tuple(name for name in OPTIONS if name.startswith("ssl_"))
_FOR_LOGIN = tuple(name for name in OPTIONS if name.startswith("sasl_"))


def problem_in(options: Mapping[str, object]) -> str | None:
    """What is wrong with the options as a whole; None where they can be tried. Looks at no file.

    >>> problem_in({"security_protocol": "SSL", "ssl_cafile": "ca.pem"})
    >>> problem_in({"ssl_cafile": "ca.pem"})
    'ssl_cafile is set, but security_protocol is PLAINTEXT: SSL or SASL_SSL'
    """
    protocol = str(options.get("security_protocol") or "PLAINTEXT")
    if protocol not in PROTOCOLS:
        return f"security_protocol is {protocol}: one of {', '.join(PROTOCOLS)}"
    for names, part, instead in (
        (_FOR_TLS, "SSL", "SSL or SASL_SSL"),
        (_FOR_LOGIN, "SASL", "SASL_SSL or SASL_PLAINTEXT"),
    ):
        idle = next((n for n in names if options.get(n) is not None), None)
        if idle is not None and part not in protocol:
            # Else a connection in the clear would be made where somebody meant a protected one.
            return f"{idle} is set, but security_protocol is {protocol}: {instead}"
    if "SASL" in protocol:
        mechanism = str(options.get("sasl_mechanism") or "")
        if mechanism not in MECHANISMS:
            return f"sasl_mechanism is {mechanism or 'not given'}: one of {', '.join(MECHANISMS)}"
        for name in ("sasl_plain_username", "sasl_plain_password"):
            if not options.get(name):
                return f"{name} is missing"
    if options.get("ssl_keyfile") and not options.get("ssl_certfile"):
        return "ssl_keyfile is set without ssl_certfile"
    return None


def unknown_option(name: str) -> str | None:
    """What to say of a name that is no option; None for one that is."""
    if name in OPTIONS:
        return None
    near = difflib.get_close_matches(name, OPTIONS, n=1)
    return f"{name!r} is no security option of the Kafka client" + (f" (did you mean {near[0]!r}?)" if near else "")
