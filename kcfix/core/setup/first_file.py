"""The text of a first settings file, from what was found. Pure; no password is ever in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kcfix.clean import clean
from kcfix.core.redact import is_secret, redact, secrets_of
from kcfix.core.setup.dsn import without_password

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class FoundSystem:
    """What is known of a system, each with where it was found; None or empty where nothing was."""

    brokers: tuple[str, ...] = ()
    brokers_from: str = ""
    address_map: Mapping[str, str] = field(default_factory=dict)
    kafka: Mapping[str, object] = field(default_factory=dict)
    """Security options, secrets among them: these are left out."""
    dsn: str | None = field(default=None, repr=False)
    dsn_from: str = ""
    payments_dsn: str | None = field(default=None, repr=False)
    project: str | None = None
    docker_host: str | None = None
    password_file: str | None = None
    password_command: tuple[str, ...] = ()


def first_file(found: FoundSystem, *, context: str | None, may_run: bool, written: str) -> str:
    """The file: what was found as settings, the rest as comments. `context` names a table; None is the default context.

    `may_run`: whether a command may stand in that file. `written` says when and by what it was written.
    """
    parts: list[list[str]] = [
        [
            f"# Settings of kcfix. {written}; change them as you like.",
            "# `kcfix config check` tries them, `kcfix config show` says which are in force and where each came from.",
        ]
    ]
    if context is not None:
        parts.append([f"[contexts.{_key(context)}]"])
    parts += [_docker(found), _kafka(found), _database(found, may_run=may_run)]
    parts.append(
        [
            "# A system to be careful with: a change then needs --reason and the typed name of the context.",
            "# protected = true",
        ]
    )
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _docker(found: FoundSystem) -> list[str]:
    lines = ["# Compose project of the workers' containers; needed where several projects look alike."]
    lines.append(_line("project", found.project, '"kc-backend"'))
    lines.append("# Docker Engine; without it the local socket.")
    host = None if found.docker_host and any(secrets_of(found.docker_host)) else found.docker_host
    lines.append(_line("docker_host", host, '"ssh://operator@host.example"'))
    return lines


def _kafka(found: FoundSystem) -> list[str]:
    lines = ["# Kafka's bootstrap servers." + _from(found.brokers_from)]
    lines.append(_line("brokers", list(found.brokers) or None, '["kafka.example:9092"]'))
    lines.append("# Where an address that this host can't reach by its name is reached.")
    lines.append(_line("address_map", found.address_map or None, '{ "kafka:9092" = "127.0.0.1:9092" }'))
    options = {key: value for key, value in found.kafka.items() if not is_secret(key)}
    lines.append("# TLS and login at the brokers.")
    lines.append(
        _line("kafka", options or None, '{ security_protocol = "SASL_SSL", sasl_mechanism = "SCRAM-SHA-256" }')
    )
    if any(is_secret(key) for key in found.kafka):
        lines.append("# Its password: KCFIX_KAFKA_PASSWORD, kafka_password_file or kafka_password_command.")
    return lines


def _database(found: FoundSystem, *, may_run: bool) -> list[str]:
    lines = ["# Database that holds the purchases, without its password." + _from(found.dsn_from)]
    lines.append(_line("dsn", found.dsn and without_password(found.dsn), '"postgresql://kcfix@db.example:5432/kc_app"'))
    lines.append("# Its password stands in no file that is shared. One of:")
    lines.append("#   KCFIX_PASSWORD in the environment")
    lines.append(_line("password_file", found.password_file, '"/run/secrets/kcfix"'))
    if may_run:
        lines.append(_line("password_command", list(found.password_command) or None, '["pass", "show", "kcfix"]'))
    else:
        lines.append("#   password_command, in the user's own file (~/.config/kcfix/config.toml) only")
    lines.append("# Database that holds the payments, where it is another one; its password is payments_password….")
    payments = found.payments_dsn and without_password(found.payments_dsn)
    lines.append(_line("payments_dsn", payments, '"postgresql://kcfix@payments.example:5432/payments"'))
    return lines


def _from(where: str) -> str:
    return f" Found: {redact(clean(where))}." if where else ""


def _line(name: str, value: object, example: str) -> str:
    return f"# {name} = {example}" if value in (None, "") else f"{name} = {_toml(value)}"


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _toml(text)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # A JSON text is a TOML text but for DEL, and for pairs of surrogates, which come only with ASCII alone.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
