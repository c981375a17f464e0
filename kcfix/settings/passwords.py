"""Where a password is to be had, by the settings: a value, a file or a command. Nothing is read or run here."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from kcfix.settings.fields import Origin, Settings, Source


class Secret(enum.StrEnum):
    """The passwords that kcfix may need. The value is what the names of their settings begin with."""

    DATABASE = ""
    PAYMENTS = "payments_"
    KAFKA = "kafka_"

    @property
    def address(self) -> str:
        """The setting whose address the password is for."""
        return {Secret.DATABASE: "dsn", Secret.PAYMENTS: "payments_dsn", Secret.KAFKA: "brokers"}[self]

    @property
    def system(self) -> str:
        """The system that asks for it, as errors name it."""
        return "kafka" if self is Secret.KAFKA else "database"


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where one password is to be had."""

    setting: str
    value: str | Path | tuple[str, ...] = field(repr=False)
    """The password itself, the file that holds it, or the words of the command that prints it."""
    origin: Origin


_ORDER = (Source.FLAG, Source.ENVIRONMENT, Source.FILE)


def pointer(settings: Settings, secret: Secret) -> Pointer | None:
    """The strongest of the three settings for this password; None where none is set.

    A variable goes before a file; within one of them the password itself goes before the file that holds it, and that
    before the command.
    """
    found = [
        Pointer(name, value, settings.origin(name))
        for name in (f"{secret.value}password", f"{secret.value}password_file", f"{secret.value}password_command")
        if (value := getattr(settings, name))
    ]
    return min(found, key=lambda one: _ORDER.index(one.origin.source), default=None)


def withheld(settings: Settings, secret: Secret, found: Pointer) -> str | None:
    """Why this password is not to be sent to the address in force, in words; None where it may be.

    What a file points to is for that file's address. It goes to another one only where a person gave that as a flag,
    or where it was discovered: a variable or another file could be anybody's way to be sent a password.
    """
    address = settings.origin(secret.address)
    if found.origin.source is not Source.FILE or address.source not in (Source.ENVIRONMENT, Source.FILE):
        return None
    if address == found.origin:
        return None
    return (
        f"{found.setting} ({found.origin.where}) is not used: {secret.address} comes from elsewhere ({address.where}), "
        "and a password that a file points to is for that file's own address"
    )
