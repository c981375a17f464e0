"""The settings, one row each, and the frozen value that holds them with the origin of each."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from kcfix.flow import Flow
from kcfix.settings.parse import (
    parse_address_map,
    parse_bool,
    parse_brokers,
    parse_command,
    parse_hosts,
    parse_listen,
    parse_names,
    parse_path,
    parse_seconds,
    parse_security,
    parse_text,
)


class Source(enum.StrEnum):
    """Where a value came from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DISCOVERED = "discovered"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from."""

    source: Source
    where: str = ""
    """The flag, the variable, the file and context, or the container; empty for a default."""

    def __str__(self) -> str:
        return f"{self.source}: {self.where}" if self.where else str(self.source)


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table of settings."""

    name: str
    parse: Callable[[object, Mapping[str, str]], object]
    help: str
    default: object = None
    flag: str | None = None
    generic: tuple[str, ...] = ()
    """Variables that belong to no tool in particular; not read when a context is named."""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"KCFIX_{self.name.upper()}"


def _password(prefix: str, whose: str) -> tuple[Setting, ...]:
    """The three settings by which a password is given without standing in an address, the strongest first."""
    return (
        Setting(f"{prefix}password", parse_text, f"Password {whose}; meant for its variable, not for a file."),
        Setting(f"{prefix}password_file", parse_path, f"File whose first line is the password {whose}."),
        Setting(
            f"{prefix}password_command",
            parse_command,
            f"Command that prints the password {whose} on its first line; a text or a list of words, run without a "
            "shell. Not read from `./kcfix.toml`: a folder's file runs no program.",
            default=(),
        ),
    )


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "brokers",
        parse_brokers,
        "Kafka's bootstrap servers, `host:port`, a list or comma-separated.",
        default=(),
        flag="--brokers",
        generic=("KAFKA_BROKERS", "KAFKA_BROKER"),
    ),
    Setting(
        "address_map",
        parse_address_map,
        "Where an address that this host can't reach by its name is reached: `host:port` to `host:port`. It wins over "
        "what is found from the containers.",
        default={},
        flag="--address-map",
    ),
    Setting(
        "kafka",
        parse_security,
        "TLS and login at the brokers: a table of the options below.",
        default={},
    ),
    Setting(
        "kafka_key_password",
        parse_text,
        "Password of the private key of the client certificate (`ssl_keyfile`); goes before `ssl_password` in `kafka`.",
    ),
    Setting(
        "dsn",
        parse_text,
        "Database that holds the purchases, and mostly all else: a `postgresql://` URL.",
        flag="--dsn",
        generic=("POSTGRES_URL", "POSTGRES_URI", "DATABASE_URL"),
    ),
    Setting("payments_dsn", parse_text, "Database that holds the payments, where it is another one."),
    *_password("", "of `dsn`"),
    *_password("payments_", "of `payments_dsn`"),
    *_password("kafka_", "of Kafka's login (`sasl_plain_password`)"),
    Setting(
        "project",
        parse_text,
        "Compose project of the containers; needed where several projects look alike.",
        flag="--project",
    ),
    Setting(
        "docker_host",
        parse_hosts,
        "Docker Engine: `unix://…`, `tcp://HOST:PORT` (TLS by `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`) or "
        "`ssh://USER@HOST`, by this host's ssh; a list where the workers are on several hosts; `none` where there is "
        "no Docker. Without it `docker_context`, else the local socket.",
        flag="--docker-host",
        generic=("DOCKER_HOST",),
    ),
    Setting(
        "docker_context",
        parse_hosts,
        "Context of the `docker` command that names the engine and its certificates, or a list of them. Where neither "
        "this nor `docker_host` is set and no context of kcfix is chosen, the current one of `docker context`.",
        generic=("DOCKER_CONTEXT",),
    ),
    Setting(
        "timeout",
        parse_seconds,
        "How long a system may take to answer: seconds, or a duration such as `10s`.",
        default=timedelta(seconds=10),
        flag="--timeout",
    ),
    Setting(
        "connect_timeout",
        parse_seconds,
        "How long a connection may take to be made; never longer than `timeout`.",
        default=timedelta(seconds=3),
    ),
    Setting(
        "overdue",
        parse_seconds,
        "Age from which a succeeded payment without a purchase is a finding: before it, it is in flight.",
        default=timedelta(seconds=60),
    ),
    Setting(
        "names",
        parse_names,
        "Names that differ on this system: of topics, groups, workers, `tables` and `columns`.",
        default={},
    ),
    Setting(
        "protected",
        parse_bool,
        "A system to be careful with: a change needs `--reason` and the typed name of the context. True wherever a "
        "variable or one of the context's files says so.",
        default=False,
    ),
    Setting(
        "allow_other_system",
        parse_bool,
        "Let changes be made where brokers or database are not those that the workers' containers are configured with.",
        default=False,
    ),
    Setting(
        "probe",
        parse_bool,
        "A system that is there to be tried on, as a drill is: `kcfix probe` may write a payment that is made up. Only "
        "a file of the context says so, beside the addresses; a variable can only take it back.",
        default=False,
    ),
    Setting(
        "interval",
        parse_seconds,
        "How often `monitor` asks the systems; a look costs the brokers about ten requests.",
        default=timedelta(seconds=60),
        flag="--interval",
    ),
    Setting(
        "listen",
        parse_listen,
        "Where `monitor` is scraped: `host:port`, or a port of this host's loopback. It has no login: keep others away "
        "from any other address.",
        default="127.0.0.1:9787",
        flag="--listen",
    ),
    Setting("utc", parse_bool, "Show times in UTC in place of local time.", default=False, flag="--utc"),
    Setting(
        "state_dir",
        parse_path,
        "Folder of kcfix's own files; default `kcfix` in `$XDG_STATE_HOME` or `~/.local/state`.",
    ),
    Setting("journal", parse_path, "Folder of the journal; default `journal` in `state_dir`."),
    Setting(
        "acknowledgements",
        parse_path,
        "File of the findings that a person has judged (`missing --ack`); default `acknowledged.jsonl` in `state_dir`.",
    ),
    Setting(
        "parked",
        parse_path,
        "File of the dead letters that a person has set aside (`dlq park`); default `parked.jsonl` in `state_dir`.",
    ),
)

ADDRESSES = ("brokers", "address_map", "dsn", "payments_dsn", "project", "docker_host", "docker_context")
"""The settings that say which system is meant."""

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run. What is neither given nor set is empty or None here; discovery fills it when needed."""

    context: str
    """Name of the context; `default` where none is chosen."""
    named: bool
    """Whether a context was chosen by name: then generic environment variables are not read."""
    flow: Flow
    brokers: tuple[str, ...]
    address_map: Mapping[str, str]
    kafka: Mapping[str, object]
    kafka_key_password: str | None
    dsn: str | None
    payments_dsn: str | None
    password: str | None = field(repr=False)
    password_file: Path | None
    password_command: tuple[str, ...]
    payments_password: str | None = field(repr=False)
    payments_password_file: Path | None
    payments_password_command: tuple[str, ...]
    kafka_password: str | None = field(repr=False)
    kafka_password_file: Path | None
    kafka_password_command: tuple[str, ...]
    project: str | None
    docker_host: str | None
    """One URL, several with commas between them, or `none`."""
    docker_context: str | None
    """One name, or several with commas between them."""
    timeout: timedelta
    connect_timeout: timedelta
    overdue: timedelta
    names: Mapping[str, object]
    protected: bool
    allow_other_system: bool
    probe: bool
    interval: timedelta
    listen: str
    utc: bool
    state_dir: Path
    journal: Path
    acknowledgements: Path
    parked: Path
    origins: Mapping[str, Origin]
    """Where each value came from, by name."""
    warnings: tuple[str, ...] = ()
    """Unknown keys in the files, and the like."""
    redirected: tuple[str, ...] = ()
    """Variables that lead a context chosen by name elsewhere than its file says."""

    def origin(self, name: str) -> Origin:
        """Where the value of this setting came from."""
        return self.origins.get(name, Origin(Source.DEFAULT))
