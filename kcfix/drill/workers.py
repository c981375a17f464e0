"""The drill's four worker containers, labelled as Compose labels them, running the drill's worker program on Node."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

from docker.models.containers import Container
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from kcfix.drill import compose, image
from kcfix.drill.cache import node_modules
from kcfix.drill.engine import Bind, Engine, Spec
from kcfix.drill.image import Ground
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import WORKERS, Drill
from kcfix.errors import NotFound, Unreachable
from kcfix.flow import Flow

IMAGES = ("node:20-alpine",)
USER = "1001:1001"
JOIN_TIMEOUT_SECONDS = 45


def program() -> Path:
    """The folder of the worker program as it is installed."""
    with resources.as_file(resources.files("kcfix.drill") / "worker") as at:
        return at


def ground(engine: Engine, progress: Callable[[str], None]) -> Ground:
    """An image of Node where one can be had, else the host's own Node; with the program's modules mounted in both."""
    modules = Bind(str(node_modules(program(), progress)), "/app/node_modules")
    found = image.pulled(engine, *IMAGES)
    if found is not None:
        return Ground(found.image, (*found.binds, modules))
    prefix = _node().parent.parent
    base = image.host(engine, *([] if prefix.is_relative_to("/usr") else [str(prefix)]))
    return Ground(base.image, (*base.binds, modules), borrowed=True)


def write_files(drill: Drill) -> None:
    """Copy the program into the data folder, readable by the workers' user."""
    at = drill.data_folder / "worker"
    shutil.copytree(program(), at, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    for path in (at, *at.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def spec(drill: Drill, service: str, ground: Ground, environment: Mapping[str, str | None] | None = None) -> Spec:
    """The container of one worker.

    `environment` adds to or overrides what it is usually given; a variable that is None there is not set at all.
    """
    given = {
        "NODE_ENV": "production",
        "SERVICE_NAME": service,
        "KAFKA_BROKERS": ",".join(drill.brokers),
        "POSTGRES_URL": drill.inner_dsn,
        "REDIS_URL": "redis://redis:6379",  # must be set; there is no Redis in a drill
        "HOME": "/tmp",  # noqa: S108 - inside the container
        **(environment or {}),
    }
    return Spec(
        service=service,
        image=ground.image,
        command=(str(_node()) if ground.borrowed else "node", "/app/worker/main.js"),
        user=USER,
        environment={name: value for name, value in given.items() if value is not None},
        binds=(*ground.binds, Bind(str(drill.data_folder / "worker"), "/app/worker")),
        labels=compose.labels(drill, service),
        restart="unless-stopped",
        working_dir="/app",
    )


def create(
    engine: Engine,
    drill: Drill,
    service: str,
    environment: Mapping[str, str | None] | None = None,
    *,
    restart: str = "unless-stopped",
    memory_bytes: int | None = None,
) -> Container:
    """Make the container of a worker anew and start it, in the place of the one that is there.

    Raises:
        NotFound: no such worker.
        Unreachable: the engine did not do it; the worker may have no container now.
    """
    if service not in WORKERS:
        raise NotFound(f"a drill has no worker {service!r}", hint=f"one of: {', '.join(WORKERS)}")
    made = spec(drill, service, ground(engine, lambda _: None), environment)
    made = replace(made, restart=restart, memory_bytes=memory_bytes)
    engine.remove(drill, service)
    return engine.create(drill, made)


def wait_until_joined(drill: Drill, alive: Callable[[], None], timeout_seconds: float = JOIN_TIMEOUT_SECONDS) -> None:
    """Return once the group of every worker is stable and has a member.

    `alive` is called between looks and raises where a worker has ended.

    Raises:
        Unreachable: not all had joined in time; the message names those.
    """
    groups = {stage.group: stage.worker for stage in Flow().stages if stage.worker in WORKERS}
    deadline = time.monotonic() + timeout_seconds
    admin = KafkaAdminClient(**kafka_settings(drill))
    try:
        while True:
            waiting = _not_joined(admin, groups)
            if not waiting:
                return
            alive()
            if time.monotonic() > deadline:
                raise Unreachable(f"not joined within {timeout_seconds:.0f} s: {', '.join(waiting)}", system="kafka")
            time.sleep(0.25)
    finally:
        admin.close()


def _not_joined(admin: KafkaAdminClient, groups: Mapping[str, str]) -> list[str]:
    try:
        described = admin.describe_groups(list(groups))
    except KafkaError:
        return sorted(groups.values())
    joined = {
        group for group, found in described.items() if found.get("group_state") == "Stable" and found.get("members")
    }
    return sorted(worker for group, worker in groups.items() if group not in joined)


def _node() -> Path:
    """The real binary of the host's Node, whatever shim the search path holds."""
    asked = subprocess.run(
        [image.program("node"), "-p", "process.execPath"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise NotFound(f"node does not run: {asked.stderr.strip()[:200]}", hint="make setup")
    return Path(asked.stdout.strip()).resolve()
