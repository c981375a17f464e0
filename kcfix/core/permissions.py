"""The rights that each command needs at Kafka and PostgreSQL: one table, from which docs/permissions.md is made.

tests/real/test_permissions.py runs each command with exactly these, and with each one taken away. `config check` and
the shell's completion ask for more and do with less; other commands that are not here ask neither Kafka nor PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from kcfix.core.rights import Right
from kcfix.flow import Flow, Stage, Tables

Names = Callable[[Flow, "tuple[Stage, ...]"], Iterable[str]]
"""Topics or groups by their live names, for the stages that a command is about."""


def _all(flow: Flow, _: tuple[Stage, ...]) -> Iterable[str]:
    return flow.topics


def _theirs(flow: Flow, stages: tuple[Stage, ...]) -> Iterable[str]:
    return (topic for stage in stages for topic in stage.topics)


def _letters(flow: Flow, _: tuple[Stage, ...]) -> Iterable[str]:
    return (flow.dead_letters,)


def _payments(flow: Flow, _: tuple[Stage, ...]) -> Iterable[str]:
    return flow.purchase_confirmed, flow.purchase_created


def _created(flow: Flow, _: tuple[Stage, ...]) -> Iterable[str]:
    return (flow.purchase_created,)


def _confirmed(flow: Flow, _: tuple[Stage, ...]) -> Iterable[str]:
    return (flow.purchase_confirmed,)


def _groups(_: Flow, stages: tuple[Stage, ...]) -> Iterable[str]:
    return (stage.group for stage in stages)


def _cluster(_: Flow, __: tuple[Stage, ...]) -> Iterable[str]:
    return ("",)


@dataclass(frozen=True, slots=True)
class Need:
    """An operation on some topics, some groups or the cluster."""

    operation: str
    kind: str
    names: Names
    why: str


_SEE = Need("Describe", "topic", _all, "what there is, and how far it reaches")
_SEE_GROUPS = Need("Describe", "group", _groups, "members and committed offsets")
_RETENTION = Need("DescribeConfigs", "topic", _payments, "whether the log still holds what was sent")
_MEMORY = Need("DescribeConfigs", "cluster", _cluster, "how long an empty group keeps its offsets")
_AGES = Need("Read", "topic", _theirs, "the age of what waits, and what it is about")
_MESSAGES = Need("Read", "topic", _payments, "the messages of a payment")
_EVENTS = Need("Read", "topic", _confirmed, "the messages of a payment")
_KEPT = Need("DescribeConfigs", "topic", _confirmed, "whether the log still holds what was sent")
_READ_LETTERS = Need("Read", "topic", _letters, "the dead letters")
_COMMIT = Need("Read", "group", _groups, "commit offsets (Kafka wants Read for that)")
_COMMIT_ON = Need("Read", "topic", _theirs, "commit offsets on it")
_ANNOUNCE = Need("Write", "topic", _created, "announce a purchase")
_EMIT = Need("Write", "topic", _confirmed, "send the event again")
_SEND_AGAIN = Need("Write", "topic", _theirs, "send messages again")
_EVERYTHING = Need("Read", "topic", _all, "records and their times")
_SETTINGS = Need("DescribeConfigs", "topic", _all, "retention")
_ITS_SETTINGS = Need("DescribeConfigs", "topic", _theirs, "when what waits will be deleted")

_ALL_TABLES = tuple(field.name for field in fields(Tables))
_READ_TABLES = tuple(("SELECT", table) for table in _ALL_TABLES)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a command needs to look, and besides what it needs to change something."""

    kafka: tuple[Need, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    """Right and table, by kcfix's name."""
    kafka_to_change: tuple[Need, ...] = ()
    tables_to_change: tuple[tuple[str, str], ...] = ()
    stages: tuple[str, ...] | None = None
    """Short names of the stages that it is about; None: all, or those that are named on the command line."""


_FOR_PAYMENTS = (_SEE, _SEE_GROUPS, _MESSAGES, _READ_LETTERS, _RETENTION)
_TWO = ("purchase", "allocation")
_MOVING = Needs((_SEE, _SEE_GROUPS, _AGES, _MEMORY), _READ_TABLES, kafka_to_change=(_COMMIT, _COMMIT_ON))

_WATCHING = Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS, _RETENTION, _ITS_SETTINGS, _MEMORY), _READ_TABLES)
_TRACING = (_SEE_GROUPS, _EVERYTHING, _SETTINGS, _MEMORY)

PERMISSIONS: Mapping[str, Needs] = {
    "status": Needs((_SEE, _SEE_GROUPS, _EVENTS, _READ_LETTERS, _KEPT), _READ_TABLES),
    "missing": Needs(_FOR_PAYMENTS, _READ_TABLES, stages=_TWO),
    "lag": Needs((_SEE, _SEE_GROUPS, _AGES, _ITS_SETTINGS, _MEMORY)),
    "topics": Needs((_SEE_GROUPS, _EVERYTHING, _SETTINGS)),
    "doctor": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS, _SETTINGS, _MEMORY), _READ_TABLES),
    "watch": _WATCHING,
    "monitor": _WATCHING,
    "trace": Needs(_TRACING, _READ_TABLES),
    "probe": Needs(_TRACING, _READ_TABLES, kafka_to_change=(_EMIT,), tables_to_change=(("INSERT", "payments"),)),
    "repair": Needs(
        _FOR_PAYMENTS,
        _READ_TABLES,
        kafka_to_change=(_ANNOUNCE, _EMIT),
        tables_to_change=(("INSERT", "purchases"),),
        stages=_TWO,
    ),
    "restart": Needs((_SEE, _SEE_GROUPS, _AGES), _READ_TABLES, kafka_to_change=(_COMMIT, _COMMIT_ON)),
    "offsets show": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS), _READ_TABLES),
    "offsets reset": _MOVING,
    "offsets pin": _MOVING,
    "offsets skip-one": _MOVING,
    "offsets export": Needs((_SEE, _SEE_GROUPS)),
    "offsets import": _MOVING,
    "dlq list": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS), _READ_TABLES),
    "dlq show": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS), _READ_TABLES),
    "dlq replay": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS), _READ_TABLES, kafka_to_change=(_SEND_AGAIN,)),
    "dlq park": Needs((_SEE, _SEE_GROUPS, _AGES, _READ_LETTERS), _READ_TABLES),
    "undo": Needs(
        _FOR_PAYMENTS,
        _READ_TABLES,
        kafka_to_change=(_COMMIT, _COMMIT_ON),
        tables_to_change=(("DELETE", "purchases"),),
    ),
}


def kafka_rights(
    command: str, flow: Flow, *, change: bool, stages: tuple[Stage, ...] | None = None
) -> Mapping[Right, str]:
    """The least rights at Kafka by what each is for, sorted. `stages`: those that it is about, all by itself.

    What another right includes is left out: Read and Write include Describe, of topics and of groups.
    """
    needs = PERMISSIONS[command]
    about = stages or tuple(s for s in flow.stages if needs.stages is None or s.name in needs.stages)
    found: dict[Right, str] = {}
    for need in (*needs.kafka, *(needs.kafka_to_change if change else ())):
        for name in need.names(flow, about):
            found.setdefault(Right(need.operation, need.kind, name), need.why)
    including = {(r.kind, r.name) for r in found if r.operation in ("Read", "Write")}
    kept = {r: why for r, why in found.items() if r.operation != "Describe" or (r.kind, r.name) not in including}
    return dict(sorted(kept.items(), key=lambda item: (item[0].kind, item[0].operation, item[0].name)))


def table_rights(command: str, flow: Flow, *, change: bool) -> tuple[Right, ...]:
    """The least rights on tables, sorted."""
    needs = PERMISSIONS[command]
    wanted = (*needs.tables, *(needs.tables_to_change if change else ()))
    return tuple(Right(operation, "table", str(getattr(flow.tables, table))) for operation, table in wanted)
