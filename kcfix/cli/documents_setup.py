"""Shapes of what sets kcfix up: contexts, `config check`, `config init`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Document, Maybe
from kcfix.core.setup.checkup import Status
from kcfix.errors import Obstacle

SETUP: Mapping[str, Document] = {
    "context-list": Document(
        "A row for each context, with what its files say; addresses never hold a password.",
        {
            "name": "string",
            "in_force": "boolean",
            "brokers": ["string"],
            "database": "string?",
            "project": "string?",
            "docker_host": "string?",
            "docker_context": "string?",
            "protected": "boolean?",
            "where": "string?",
        },
        {"in_force": "string", "chosen_by": "string"},
    ),
    "config-check": Document(
        "A row for each thing that was tried. `obstacle` says what stood in the way, where that is known.",
        {
            "system": "string",
            "check": "string",
            "status": Status,
            "text": "string",
            "obstacle": Maybe(Obstacle),
            "hint": "string?",
        },
        {"ok": "integer", "caution": "integer", "failed": "integer"},
    ),
    "config-init": Document(
        "A row for each setting that was found, without passwords; what was not found is null or empty.",
        {"name": "string", "value": None},
        {"path": "string?", "context": "string", "overwrite": "boolean"},
    ),
}
