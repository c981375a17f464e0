"""The purchase flow as data: its workers, topics, groups, event types and tables.

The one place where such names are written. Each can be overridden in the settings (`[names]`), because the live system
may call them otherwise. Source: docs/system.md 1, 2.1 and 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from kcfix.errors import UsageError


@dataclass(frozen=True, slots=True)
class Stage:
    """One worker of the flow, what it reads and what it makes."""

    name: str
    """Short name: purchase, allocation, session, cache, notification."""
    worker: str
    """Compose service name of the worker."""
    group: str
    """Consumer group id."""
    topics: tuple[str, ...]
    """Topics that the group subscribes to."""
    required: bool = True
    """False where the flow to a purchase with sessions works without it; a missing one is then no alarm."""

    @property
    def is_foreign(self) -> bool:
        """Whether the group is none of the flow: neither its containers nor what its messages mean are known."""
        return not self.worker


def foreign_stage(group: str, topics: Iterable[str]) -> Stage:
    """What stands for a stage where a group is none of the flow; its topics in the order of their names."""
    return Stage("foreign", "", group, tuple(sorted(set(topics))), required=False)


@dataclass(frozen=True, slots=True)
class Tables:
    """Names of the tables; each may be qualified (`schema.table`)."""

    payments: str = "payments"
    purchases: str = "student_course_purchases"
    events: str = "processed_events"
    allocations: str = "trainer_allocations"
    sessions: str = "tutoring_sessions"
    courses: str = "courses"


@dataclass(frozen=True, slots=True)
class Flow:
    """Names of everything that kcfix looks at. Immutable; `named` gives a copy with other names."""

    purchase_confirmed: str = "purchase-confirmed"
    purchase_created: str = "purchase-created"
    trainer_allocated: str = "trainer-allocated"
    sessions_generated: str = "sessions-generated"
    course_access_granted: str = "course-access-granted"
    notification_requested: str = "notification-requested"
    dead_letters: str = "dead-letter-queue"

    purchase_group: str = "purchase-creation-workers"
    allocation_group: str = "trainer-allocation-workers"
    session_group: str = "session-scheduling-workers"
    cache_group: str = "cache-invalidation-workers"
    notification_group: str = "notification-workers"

    purchase_worker: str = "purchase-worker"
    allocation_worker: str = "allocation-worker"
    session_worker: str = "session-worker"
    cache_worker: str = "cache-worker"
    notification_worker: str = "notification-worker"
    payment_service: str = "payment-service"
    kafka_service: str = "kafka"
    zookeeper_service: str = "zookeeper"
    kafka_init_service: str = "kafka-init"

    container_prefix: str = "kodingcaravan-"
    """Containers are called prefix + service; used where a container carries no Compose label."""

    students_table: str = "students"
    profiles_table: str = "student_profiles"
    """Where a student and its place are; only `probe` writes there, for a student that it makes up."""

    tables: Tables = field(default_factory=Tables)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Overridden column names, keyed `table.column` by kcfix's own names, e.g. `payments.confirmed_at`."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The workers in the order in which a purchase passes them."""
        return (
            Stage("purchase", self.purchase_worker, self.purchase_group, (self.purchase_confirmed,)),
            Stage("allocation", self.allocation_worker, self.allocation_group, (self.purchase_created,)),
            Stage("session", self.session_worker, self.session_group, (self.trainer_allocated,)),
            Stage(
                "cache",
                self.cache_worker,
                self.cache_group,
                (self.purchase_created, self.trainer_allocated, self.sessions_generated),
            ),
            Stage(
                "notification",
                self.notification_worker,
                self.notification_group,
                (self.notification_requested,),
                required=False,
            ),
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that kafka-init makes, in its order."""
        return (
            self.purchase_confirmed,
            self.purchase_created,
            self.trainer_allocated,
            self.sessions_generated,
            self.course_access_granted,
            self.notification_requested,
            self.dead_letters,
        )

    @property
    def infrastructure(self) -> tuple[str, ...]:
        """Compose services of the broker's own containers."""
        return (self.zookeeper_service, self.kafka_service, self.kafka_init_service)

    def stage_of_group(self, group: str) -> Stage | None:
        """The stage whose consumer group this is; None for a foreign group."""
        return next((s for s in self.stages if s.group == group), None)

    def stage_of_worker(self, worker: str) -> Stage | None:
        """The stage that this Compose service or container name works for; None for anything else."""
        bare = worker.removeprefix(self.container_prefix)
        return next((s for s in self.stages if worker in (s.worker, s.name) or bare == s.worker), None)

    def column(self, table: str, column: str) -> str:
        """The live name of a column; `table` and `column` are kcfix's own names."""
        return self.columns.get(f"{table}.{column}", column)

    def named(self, names: Mapping[str, object]) -> Flow:
        """This flow with some names replaced, as the `[names]` table of the settings gives them.

        Raises:
            UsageError: a key that is no name of the flow. Nothing was asked.
        """
        plain: dict[str, str] = {}
        tables: dict[str, str] = {}
        columns: dict[str, str] = dict(self.columns)
        known = {f.name for f in fields(self)} - {"tables", "columns"}
        known_tables = {f.name for f in fields(Tables)}
        for key, value in names.items():
            if key == "tables" and isinstance(value, Mapping):
                for table, name in value.items():
                    if table not in known_tables:
                        raise UsageError(
                            f"unknown table {table!r} in names.tables; known: {', '.join(sorted(known_tables))}"
                        )
                    tables[str(table)] = str(name)
            elif key == "columns" and isinstance(value, Mapping):
                columns.update({str(column): str(name) for column, name in value.items()})
            elif key in known:
                plain[key] = str(value)
            else:
                raise UsageError(f"unknown name {key!r} in names; known: tables, columns, {', '.join(sorted(known))}")
        return replace(self, **plain, tables=replace(self.tables, **tables), columns=columns)


PURCHASE_CONFIRMED = "PURCHASE_CONFIRMED"
PURCHASE_CREATED = "PURCHASE_CREATED"
