"""A right that kcfix needs at a system: what it is called, and the line that an administrator runs to give it."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass

ANONYMOUS = "ANONYMOUS"
"""Kafka's name of a client that neither logs in nor shows a certificate."""
_FLAGS = {"topic": "--topic", "group": "--group"}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A right to do something with something."""

    operation: str
    """SELECT, INSERT, … of PostgreSQL; Describe, Read, … of Kafka, as `kafka-acls` writes them."""
    kind: str
    """table, schema; topic, group, cluster."""
    name: str
    """Empty for Kafka's cluster, of which there is one."""

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}".rstrip()


def grant(right: Right, user: str) -> str:
    """The SQL that gives a right.

    >>> grant(Right("SELECT", "table", "payments"), "kcfix")
    'GRANT SELECT ON payments TO kcfix;'
    """
    kind = "" if right.kind == "table" else f"{right.kind.upper()} "
    return f"GRANT {right.operation} ON {kind}{right.name} TO {user};"


def acl(right: Right, principal: str, server: str) -> str:
    """The call of Kafka's own tool that gives a right. `principal` is quoted for a shell already where it needs that.

    Where clients log in or show a certificate, so does whoever gives rights: that is in `admin.properties`.

    >>> acl(Right("Read", "topic", "letters"), "User:ANONYMOUS", "kafka:9092")
    'kafka-acls --bootstrap-server kafka:9092 --add --allow-principal User:ANONYMOUS --operation Read --topic letters'
    """
    on = f"{_FLAGS[right.kind]} {shlex.quote(right.name)}" if right.kind in _FLAGS else "--cluster"
    login = "" if principal == f"User:{ANONYMOUS}" else " --command-config admin.properties"
    words = f"kafka-acls --bootstrap-server {server}{login} --add --allow-principal {principal}"
    return f"{words} --operation {right.operation} {on}"


def principal(user: str, certificate: str) -> str:
    """The name by which Kafka knows a client, as a word of a shell: its user, else the subject of its certificate."""
    if user:
        return shlex.quote(f"User:{user}")
    if certificate:
        subject = f"openssl x509 -in {shlex.quote(certificate)} -noout -subject -nameopt RFC2253"
        return f'"User:$({subject} | sed s/^subject=//)"'
    return f"User:{ANONYMOUS}"


Missing = Callable[[Right, str], None]
"""Told of a right that turned out to be missing, and of the line that gives it."""


def unnoted(right: Right, line: str) -> None:
    """For whom it is enough that the error says it."""


class MissingRights:
    """The rights that turned out to be missing in a run, whatever became of the errors that said so."""

    def __init__(self) -> None:
        self._lines: dict[Right, str] = {}
        self._lock = threading.Lock()

    def note(self, right: Right, line: str) -> None:
        """Remember it."""
        with self._lock:
            self._lines.setdefault(right, line)

    def told(self, said: str = "") -> tuple[str, ...]:
        """A line for each that is not told in `said` already, in the order in which they were missed."""
        with self._lock:
            return tuple(
                f"missing right: {right}; this gives it: {line}"
                for right, line in self._lines.items()
                if line not in said
            )
