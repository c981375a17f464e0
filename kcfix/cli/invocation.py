"""How the operator called kcfix, so that the commands it prints can be pasted as they are."""

from __future__ import annotations

import shlex

from kcfix.services import Services

_FLAGS = {"context": "-C", "project": "--project", "docker_host": "--docker-host", "brokers": "--brokers"}
"""Shared options that say which system is meant. Not the database's address: it holds a password."""


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
