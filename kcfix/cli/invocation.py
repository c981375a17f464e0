"""How the operator called kcfix, so that the commands it prints can be pasted as they are."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from kcfix.cli.app import COMMANDS
from kcfix.render.view import View
from kcfix.services import Services

_FLAGS = {"context": "-C", "project": "--project", "docker_host": "--docker-host", "brokers": "--brokers"}
"""Shared options that say which system is meant. Not the database's address: it holds a password."""
_CALL = re.compile(rf"\bkcfix (?=(?:{'|'.join(entry.name for entry in COMMANDS)})\b)")


def invocation(services: Services) -> str:
    """`kcfix` with the options of this run that choose the system, e.g. `kcfix -C drill`."""
    words = ["kcfix"]
    for name, flag in _FLAGS.items():
        value = services.given.get(name)
        if isinstance(value, str) and value:
            words += [flag, value]
    mapped = services.given.get("address_map")
    for pair in mapped if isinstance(mapped, list | tuple) else ():
        words += ["--address-map", str(pair)]
    return shlex.join(words)


def as_called(text: str, services: Services) -> str:
    """The text with each `kcfix COMMAND` in it told which system is meant; those that say it already stay."""
    called = invocation(services)
    return _CALL.sub(lambda _: f"{called} ", text)


def view_as_called(view: View, services: Services) -> View:
    """The view with its next commands and the hints of its errors complete to be pasted."""
    return replace(
        view,
        next=tuple(as_called(command, services) for command in view.next),
        errors=tuple(replace(e, hint=e.hint and as_called(e.hint, services)) for e in view.errors),
    )
