"""What a drill is, and the folder in which it is written down.

The state file is written before anything else is made, so that a crash half-way leaves a drill that `down` can find.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from kcfix.errors import NotFound, Refused, UsageError
from kcfix.flow import Flow

LABEL = "io.kcfix.drill"
"""Everything that belongs to a drill carries this label; its value is the drill's name."""

DEFAULT_NAME = "drill"
DEFAULT_KAFKA = "3.5.2"
DATABASE = "kc_app"
DATABASE_USER = "kc_app_user"
KAFKA = "kafka"
POSTGRES = "postgres"
STRANGERS = ("debug-consumer", "report-job")
"""Containers that some faults start beside the system, as somebody's `docker run` would; no Compose service."""
WORKERS: tuple[str, ...] = tuple(stage.worker for stage in Flow().stages if stage.required)
"""Compose services of the four workers that a drill runs, in the order of the flow."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Shape(StrEnum):
    """The three shapes in which processed_events exists (docs/system.md 1.3)."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator may choose about a drill; fixed for its life."""

    name: str = DEFAULT_NAME
    kafka: str = DEFAULT_KAFKA
    """Version of Apache Kafka, three numbers."""
    processed_events: Shape = Shape.C
    unique_index: bool = True
    """Whether the database has `unique_active_purchase`."""
    brokers: int = 1
    """How many brokers: 1, as in the real system, or 3 with every partition on each of them."""

    def checked(self) -> Options:
        """These options.

        Raises:
            UsageError: a name or version that can't be one. Nothing was made.
        """
        checked_name(self.name)
        if not _VERSION.fullmatch(self.kafka):
            raise UsageError(f"Kafka version {self.kafka!r} is not of the form 3.5.2")
        if self.brokers not in (1, 3):
            raise UsageError(f"a drill has 1 broker or 3, not {self.brokers}")
        return self


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill system: names, ports and secrets, all that is needed to reach it or to take it down."""

    name: str
    data_folder: Path
    kafka_version: str
    processed_events: Shape
    unique_index: bool
    kafka_port: int
    """Port on 127.0.0.1 under which the broker is published; the same for the drill's whole life."""
    postgres_port: int
    """Port on 127.0.0.1 under which the database is published; the same for the drill's whole life."""
    password: str = field(repr=False)
    """Password of the database user."""
    cluster_id: str
    """Id of the Kafka cluster."""
    other_kafka_ports: tuple[int, ...] = ()
    """The same for the second broker and those after it; empty where there is one."""
    ready: bool = False
    """True once everything was up; False while starting, or after a start that broke off."""

    @property
    def project(self) -> str:
        """Compose project name, and the prefix of every container name."""
        return f"kcfix-{self.name}"

    @property
    def network(self) -> str:
        """Name of the bridge network that all containers are on."""
        return f"{self.project}-network"

    @property
    def labels(self) -> dict[str, str]:
        """The label by which everything of this drill is found."""
        return {LABEL: self.name}

    @property
    def brokers(self) -> tuple[str, ...]:
        """Bootstrap servers as the brokers advertise themselves, which the host can't resolve."""
        return tuple(f"{service}:9092" for service in self.kafka_ports)

    @property
    def address_map(self) -> dict[str, str]:
        """Where each advertised address is reached from the host."""
        return {f"{service}:9092": f"127.0.0.1:{port}" for service, port in self.kafka_ports.items()}

    @property
    def kafka_ports(self) -> dict[str, int]:
        """The brokers' services, each with its port on 127.0.0.1: `kafka`, then `kafka-2` and so on."""
        others = {f"{KAFKA}-{number}": port for number, port in enumerate(self.other_kafka_ports, start=2)}
        return {KAFKA: self.kafka_port, **others}

    @property
    def dsn(self) -> str:
        """Database address from the host, with its password."""
        return f"postgresql://{DATABASE_USER}:{self.password}@127.0.0.1:{self.postgres_port}/{DATABASE}"

    @property
    def shown_dsn(self) -> str:
        """Database address from the host, complete and without a secret: the password is in a file that it names."""
        return f"postgresql://{DATABASE_USER}@127.0.0.1:{self.postgres_port}/{DATABASE}?passfile={self.password_file}"

    @property
    def password_file(self) -> Path:
        """The file that holds the database's password, as libpq reads it."""
        return self.data_folder / "pgpass"

    @property
    def inner_dsn(self) -> str:
        """Database address from the drill's containers, with its password."""
        return f"postgresql://{DATABASE_USER}:{self.password}@{POSTGRES}:5432/{DATABASE}"

    @property
    def services(self) -> tuple[str, ...]:
        """All services of the drill: brokers, database, workers."""
        return (*self.kafka_ports, POSTGRES, *WORKERS)

    @property
    def context_file(self) -> Path:
        """The file from which `kcfix -C drill` takes its settings."""
        return self.data_folder / "context.toml"

    @property
    def compose_file(self) -> Path:
        """The Compose file that the containers' labels point to."""
        return self.data_folder / "docker-compose.yml"

    def container(self, service: str) -> str:
        """Name of the container of a service.

        Raises:
            NotFound: no such service in a drill.
        """
        if service not in (*self.services, *STRANGERS):
            raise NotFound(f"a drill has no service {service!r}", hint=f"one of: {', '.join(self.services)}")
        return f"{self.project}-{service}"

    def volume(self, service: str) -> str:
        """Name of the volume that holds the data of a broker or the database."""
        return f"{self.project}-{service}-data"


def new(options: Options, *, kafka_port: int, postgres_port: int, other_kafka_ports: tuple[int, ...] = ()) -> Drill:
    """A drill as it is to be made, with a password of its own. Nothing is written."""
    return Drill(
        name=options.name,
        data_folder=folder(options.name),
        kafka_version=options.kafka,
        processed_events=options.processed_events,
        unique_index=options.unique_index,
        kafka_port=kafka_port,
        postgres_port=postgres_port,
        other_kafka_ports=other_kafka_ports,
        password=secrets.token_hex(16),
        cluster_id="k" + secrets.token_urlsafe(16)[1:],
    )


def options_of(drill: Drill) -> Options:
    """The options that this drill was made with."""
    return Options(
        name=drill.name,
        kafka=drill.kafka_version,
        processed_events=drill.processed_events,
        unique_index=drill.unique_index,
        brokers=len(drill.kafka_ports),
    )


def checked_name(name: str) -> str:
    """The name, where it can be the name of a drill.

    Raises:
        UsageError: it can't. Nothing was asked.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a drill", hint="lower-case letters, digits and '-', at most 31"
        )
    return name


def home(environment: Mapping[str, str] | None = None) -> Path:
    """The folder that holds the folders of all drills."""
    env = os.environ if environment is None else environment
    base = env.get("XDG_STATE_HOME") or ""
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "kcfix" / "drill"


def folder(name: str) -> Path:
    """The data folder of a drill, whether it is there or not."""
    return home() / checked_name(name)


def save(drill: Drill) -> None:
    """Write the drill down, whole or not at all; readable by its owner only."""
    drill.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = asdict(drill) | {"data_folder": str(drill.data_folder)}
    write_private(drill.data_folder / "drill.json", json.dumps(document, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that only its owner can read."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def find(name: str = DEFAULT_NAME) -> Drill | None:
    """The drill of that name as it was written down, ready or not; None if there is none, or its file can't be read."""
    try:
        document: dict[str, Any] = json.loads((folder(name) / "drill.json").read_text(encoding="utf-8"))
        return Drill(
            name=str(document["name"]),
            data_folder=folder(name),
            kafka_version=str(document["kafka_version"]),
            processed_events=Shape(document["processed_events"]),
            unique_index=bool(document["unique_index"]),
            kafka_port=int(document["kafka_port"]),
            postgres_port=int(document["postgres_port"]),
            password=str(document["password"]),
            cluster_id=str(document["cluster_id"]),
            other_kafka_ports=tuple(int(port) for port in document.get("other_kafka_ports", ())),
            ready=bool(document["ready"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the data folder, made where it is not there, so that no second `up` or `down` works on the same drill.

    Raises:
        Refused: another command holds it, or it can't be made. Nothing was changed.
    """
    try:
        handle = _hold(name)
    except OSError as error:
        raise Refused(f"can't make the folder {folder(name)}: {error.strerror or error}") from error
    try:
        yield
    finally:
        os.close(handle)


def _hold(name: str) -> int:
    while True:
        folder(name).mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder(name), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Refused(f"another command is at work on the drill {name!r}", hint="wait for it to end") from None
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # another command has just removed the folder


def load(name: str = DEFAULT_NAME) -> Drill:
    """The drill of that name, which is up or was.

    Raises:
        NotFound: there is no such drill, or its start broke off. Nothing was changed.
    """
    drill = find(name)
    again = "kcfix drill up" if name == DEFAULT_NAME else f"kcfix drill up --name {name}"
    if drill is None:
        raise NotFound(f"there is no drill {name!r}", hint=again)
    if not drill.ready:
        raise NotFound(f"the drill {name!r} never came up whole", hint=again)
    return drill


def as_ready(drill: Drill) -> Drill:
    """The same drill, marked as whole."""
    return replace(drill, ready=True)
