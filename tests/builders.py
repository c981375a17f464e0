"""Makes the values that tests need, with sensible defaults. All ids are made up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from kcfix.core.workers import DRILL_LABEL, PROJECT_LABEL, SERVICE_LABEL, Container, ContainerState
from kcfix.flow import Flow

FLOW = Flow()
STARTED = datetime(2026, 1, 15, 6, 0, 0, tzinfo=UTC)


def uuid(number: int) -> str:
    """A made-up UUID that is easy to recognize.

    >>> uuid(1)
    '00000000-0000-4000-8000-000000000001'
    """
    return f"00000000-0000-4000-8000-{number:012d}"


def a_container(
    service: str = "purchase-worker",
    *,
    project: str | None = "kc-backend",
    name: str | None = None,
    state: ContainerState = ContainerState.RUNNING,
    brokers: str | None = "kafka:9092",
    dsn: str | None = "postgresql://app:made-up-password@db.example.com:5432/kc_app",
    drill: str | None = None,
    labels: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    published: Mapping[int, str] | None = None,
    address: str = "172.20.0.5",
    started_at: datetime | None = STARTED,
) -> Container:
    """A container of the Compose project, as Docker would describe it; `project` None: without Compose's labels."""
    name = name or f"kodingcaravan-{service}"
    running = state is ContainerState.RUNNING
    all_labels = {PROJECT_LABEL: project, SERVICE_LABEL: service} if project else {}
    if drill:
        all_labels[DRILL_LABEL] = drill
    given = {"KAFKA_BROKERS": brokers, "POSTGRES_URL": dsn}
    return Container(
        id=f"{abs(hash((name, project))):064x}"[:64],
        name=name,
        image="kc/worker",
        state=state,
        started_at=started_at,
        finished_at=None if running or started_at is None else started_at + timedelta(hours=1),
        exit_code=None if running else 0,
        restart_policy="unless-stopped",
        labels={**all_labels, **(labels or {})},
        environment={**{k: v for k, v in given.items() if v is not None}, **(environment or {})},
        networks={f"{project or 'bridge'}_default": address if running else ""},
        aliases=tuple(dict.fromkeys((name, service))),
        published=published or {},
    )


def a_system(project: str | None = "kc-backend", *, broker_port: int = 9092) -> tuple[Container, ...]:
    """The workers and the broker's containers of one Compose project."""
    suffix = "" if project in (None, "kc-backend") else f"-{project}"
    workers = tuple(
        a_container(stage.worker, project=project, name=f"{FLOW.container_prefix}{stage.worker}{suffix}")
        for stage in FLOW.stages
    )
    kafka = a_container(
        "kafka",
        project=project,
        name=f"kodingcaravan-kafka{suffix}",
        brokers=None,
        dsn=None,
        published={9092: f"127.0.0.1:{broker_port}"},
        address="172.20.0.2",
    )
    return (*workers, kafka)
