"""The columns of the fault matrix: what may be wrong with a server, or with the way to it, and how it is made."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kcfix.drill.state import DATABASE, DATABASE_USER, KAFKA, Drill
from tests.real import fault_answers
from tests.real.fault_proxy import Address, Answers, Line, Proxy

READER, NOBODY, FULL = "kcfix_reader", "kcfix_nobody", "kcfix_full"
"""Users: one who may only read, one who may nothing, one whose database has no room left."""
WRONG = "made-up-and-wrong"
"""A password that is nobody's."""
DOCKER_SOCKET = "/var/run/docker.sock"
SECONDS = 3
"""`timeout` of every run under a fault."""
PATIENT_SECONDS = 15
"""Of a run without one: there a slow machine is no finding."""


class System(enum.Enum):
    """What kcfix talks to."""

    KAFKA = "Kafka"
    DATABASE = "PostgreSQL"
    DOCKER = "Docker"


class Bite(enum.Enum):
    """What a fault spoils."""

    ALL = "nothing can be asked"
    CHANGES = "everything can be asked, and nothing changed"
    NOTHING = "all goes well, but slowly"


@dataclass(frozen=True, slots=True)
class Fault:
    """One column."""

    name: str
    what: str
    bite: Bite = Bite.ALL
    line: Line = Line.WHOLE
    after: int = 0
    """Answers that are whole before it begins."""
    name_lost: bool = False
    user: str = ""
    """Who comes in the usual user's place; with a wrong password if it is the usual one."""
    full: bool = False
    """The server's disk is full."""

    def fits(self, system: System) -> bool:
        """Docker's socket knows no passwords."""
        return not (system is System.DOCKER and self.user == DATABASE_USER)


FAULTS = (
    Fault("name lost", "the name can't be resolved; of Docker, no socket is there", name_lost=True),
    Fault("down", "no packet comes back", line=Line.LOST),
    Fault("refuses", "nobody listens there", line=Line.REFUSES),
    Fault("hangs", "it accepts, and no word ever comes", line=Line.HANGS),
    Fault("hangs later", "it falls silent after two answers", line=Line.HANGS, after=2),
    Fault("slow", "every answer is 50 ms late", Bite.NOTHING, line=Line.SLOW),
    Fault("trickles", "a byte of an answer every 0.3 s", line=Line.TRICKLES),
    Fault("resets", "the line is reset in the middle of the first answer", line=Line.RESETS),
    Fault("resets later", "the line is reset in the middle of the third answer", line=Line.RESETS, after=2),
    Fault("closes", "the line is closed in the middle of the second answer", line=Line.CLOSES, after=1),
    Fault("stranger", "another kind of server listens there", line=Line.STRANGER),
    Fault("garbage", "random bytes in place of the first answer", line=Line.GARBAGE),
    Fault("garbage later", "random bytes in place of the third answer", line=Line.GARBAGE, after=2),
    Fault("garbage midway", "random bytes in place of the seventh answer", line=Line.GARBAGE, after=6),
    Fault("wrong password", "the login is refused", user=DATABASE_USER),
    Fault("no rights", "the user may do nothing", user=NOBODY),
    Fault("read-only", "the user may only read", Bite.CHANGES, user=READER),
    Fault("disk full", "the server can't write", Bite.CHANGES, user=FULL, full=True),
)


@dataclass(slots=True)
class Site:
    """The healthy system, as the settings of one run see it: any part may be led astray before they are written."""

    drill: Drill
    inside: Callable[[str], str]
    """Address of a service's container."""
    folder: Path
    state: Path
    """Folder of kcfix's own files."""

    @contextmanager
    def settings(self, system: System | None, fault: Fault | None) -> Iterator[str]:
        """A settings file's text, while that system suffers that fault."""
        drill = self.drill
        settings: dict[str, Any] = {
            "brokers": ["kafka:9092"],
            "dsn": _dsn(DATABASE_USER, drill.password),
            "docker_host": f"unix://{DOCKER_SOCKET}",
            "project": drill.project,
            "timeout": f"{SECONDS if fault else PATIENT_SECONDS}s",
            "connect_timeout": "1s",
            "overdue": "1s",
            "probe": True,
            "state_dir": str(self.state),
        }
        ways: dict[str, str] = {
            "kafka:9092": f"127.0.0.1:{drill.kafka_port}",
            "postgres:5432": f"127.0.0.1:{drill.postgres_port}",
        }
        with ExitStack() as stack:
            if fault is not None:
                match system:
                    case None:
                        pass
                    case System.KAFKA:
                        self._kafka(fault, settings, ways, stack)
                    case System.DATABASE:
                        self._database(fault, settings, ways, stack)
                    case System.DOCKER:
                        self._docker(fault, settings, stack)
            yield _toml({**settings, "address_map": ways})

    def _kafka(self, fault: Fault, settings: dict[str, Any], ways: dict[str, str], stack: ExitStack) -> None:
        name, server = "kafka:9092", ("127.0.0.1", self.drill.kafka_port)
        if fault.user and not fault.full:
            name, server = "kafka:9094", (self.inside(KAFKA), 9094)
            user = "workers" if fault.user == DATABASE_USER else fault.user
            settings["brokers"] = [name]
            settings["allow_other_system"] = True  # by this name the workers don't know it
            settings["kafka"] = {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": user,
                "sasl_plain_password": WRONG if user == "workers" else f"{user}-pass",
            }
        if fault.name_lost:
            ways[name] = "nowhere.invalid:9092"
            return
        answers = fault_answers.DISK_FULL_BROKER if fault.full else None
        ways[name] = f"127.0.0.1:{_proxied(stack, server, fault, answers=answers).port}"

    def _database(self, fault: Fault, settings: dict[str, Any], ways: dict[str, str], stack: ExitStack) -> None:
        if fault.user:
            settings["dsn"] = _dsn(fault.user, WRONG if fault.user == DATABASE_USER else f"{fault.user}-pass")
        if fault.name_lost:
            ways["postgres:5432"] = "nowhere.invalid:5432"
            return
        server = ("127.0.0.1", self.drill.postgres_port)
        ways["postgres:5432"] = f"127.0.0.1:{_proxied(stack, server, fault).port}"

    def _docker(self, fault: Fault, settings: dict[str, Any], stack: ExitStack) -> None:
        path = self.folder / "docker.sock"
        settings["docker_host"] = f"unix://{path}"
        if fault.name_lost:
            return
        answers = None
        if fault.full:
            answers = fault_answers.DISK_FULL_ENGINE
        elif fault.user:
            answers = fault_answers.DENYING_ENGINE if fault.user == NOBODY else fault_answers.READ_ONLY_ENGINE
        _proxied(stack, DOCKER_SOCKET, fault, path=path, answers=answers)


def _proxied(
    stack: ExitStack,
    server: Address,
    fault: Fault,
    *,
    path: Path | None = None,
    answers: Answers | None = None,
) -> Proxy:
    made = Proxy(server, fault.line, path=path, after=fault.after, answers=answers)
    stack.callback(made.close)
    return made


def _dsn(user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@postgres:5432/{DATABASE}"


def _toml(settings: dict[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in settings.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
