"""The drill as a context: the settings with which `kcfix -C drill` reaches it."""

from __future__ import annotations

import json

from kcfix.drill.state import DATABASE, DATABASE_USER, Drill, write_private


def write(drill: Drill) -> None:
    """Write the context file and the password file; both hold the password and are readable by their owner only."""
    write_private(drill.context_file, text(drill))
    write_private(drill.password_file, f"127.0.0.1:{drill.postgres_port}:{DATABASE}:{DATABASE_USER}:{drill.password}\n")


def text(drill: Drill) -> str:
    """The context's settings in TOML, as they would stand in a context table of kcfix.toml."""
    mapped = ", ".join(f"{_quoted(a)} = {_quoted(b)}" for a, b in drill.address_map.items())
    return (
        f"# The drill {drill.name!r}. Written by `kcfix drill up`, removed by `kcfix drill down`.\n"
        f"brokers = [{', '.join(_quoted(b) for b in drill.brokers)}]\n"
        f"address_map = {{ {mapped} }}\n"
        f"dsn = {_quoted(drill.dsn)}\n"
        f"project = {_quoted(drill.project)}\n"
        "probe = true\n"
    )


def _quoted(text: str) -> str:
    return json.dumps(text)
