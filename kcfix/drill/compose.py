"""The drill as a Compose project: the labels that Compose would set, and the file they point to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kcfix.drill.engine import Spec
from kcfix.drill.state import Drill, write_private


def labels(drill: Drill, service: str) -> dict[str, str]:
    """The labels by which Compose finds a container again."""
    return {
        "com.docker.compose.project": drill.project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.working_dir": str(drill.data_folder),
        "com.docker.compose.project.config_files": str(drill.compose_file),
    }


def write(drill: Drill, specs: Iterable[Spec]) -> None:
    """Write the Compose file, so that `docker compose -p … -f … up -d SERVICE`, made from the labels, is a true line.

    JSON is YAML too; the file holds the database's password and is readable by its owner only.
    """
    chosen = sorted(specs, key=lambda s: s.service)
    document: dict[str, Any] = {
        "name": drill.project,
        "services": {spec.service: _service(drill, spec) for spec in chosen},
        "networks": {"default": {"name": drill.network, "external": True}},
        "volumes": {spec.volume[0]: {"external": True} for spec in chosen if spec.volume},
    }
    write_private(drill.compose_file, json.dumps(document, indent=2).replace("$", "$$") + "\n")


def _service(drill: Drill, spec: Spec) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"type": "bind", "source": bind.source, "target": bind.target, "read_only": True} for bind in spec.binds
    ]
    if spec.volume:
        volumes.append({"type": "volume", "source": spec.volume[0], "target": spec.volume[1]})
    service: dict[str, Any] = {
        "image": spec.image,
        "container_name": drill.container(spec.service),
        "entrypoint": [],
        "command": list(spec.command),
        "user": spec.user,
        "working_dir": spec.working_dir,
        "environment": dict(spec.environment),
        "volumes": volumes,
        "restart": spec.restart,
        "labels": drill.labels,
    }
    if spec.health:
        service["healthcheck"] = {"test": ["CMD", *spec.health], "interval": "10s", "retries": 5}
    if spec.port:
        service["ports"] = [f"127.0.0.1:{spec.port[1]}:{spec.port[0]}"]
    return service
