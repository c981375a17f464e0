"""`kcfix topics`: the topics, what is in them, and who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.core.offsets import Group
from kcfix.core.ports.kafka import TopicConfig
from kcfix.core.times import format_duration
from kcfix.core.topics import PartitionReport, TopicReport, TopicsReport, TopicState, read_topics
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone, Value, View
from kcfix.services import Services

_TONES = {
    TopicState.OK: Tone.GOOD,
    TopicState.UNKNOWN: Tone.WARN,
    TopicState.UNDER_REPLICATED: Tone.WARN,
    TopicState.MISSING: Tone.BAD,
    TopicState.NO_LEADER: Tone.BAD,
}

SHOWN_GROUPS = 4
"""Groups in one cell for people; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix topics` was asked."""

    topic: str | None = None
    internal: bool = False


def command(
    ctx: typer.Context,
    topic: Annotated[str | None, typer.Argument(help="This topic only, partition by partition.")] = None,
    internal: Annotated[bool, typer.Option("--internal", help="Show Kafka's own topics too.")] = False,
) -> View:
    """Topics that the flow needs and that are missing have a row as well. NEWEST is the age of the last record.

    Exit codes: 0 shown; 3 no such topic; 4 no answer.

    Examples:
        kcfix topics
        kcfix topics purchase-confirmed
    """
    return run(Options(topic, internal), services_of(ctx))


def run(options: Options, services: Services) -> View:
    """Look once.

    Raises:
        NotFound: there is no such topic.
        Unreachable: Kafka did not answer.
    """
    report = read_topics(services.kafka, services.flow, services.now(), name=options.topic, internal=options.internal)
    warnings = [f"the topic {name} does not exist, though the flow needs it" for name in report.missing]
    if report.groups_error:
        warnings.append(f"who reads a topic is not known: {report.groups_error}")
    return View(
        schema="topics",
        sections=_overview(report) if options.topic is None else _one(report.topics[0], report),
        data=tuple(_json_row(t, report) for t in report.topics),
        summary={
            "topics": sum(1 for t in report.topics if t.topic is not None),
            "missing_topics": report.missing,
            "not_ok": [t.name for t in report.topics if t.state is not TopicState.OK],
        },
        warnings=tuple(warnings),
        next=("kcfix lag",) if options.topic is None else (),
        ids=tuple(t.name for t in report.topics if t.topic is not None),
    )


def _overview(report: TopicsReport) -> tuple[Section, ...]:
    columns = (
        Column("TOPIC"),
        Column("STATE"),
        Column("PARTITIONS", right=True, priority=3),
        Column("IN-SYNC", right=True, priority=2),
        Column("RECORDS", right=True),
        Column("NEWEST", right=True),
        Column("KEPT", right=True, priority=1),
        Column("GROUPS", wrap=True),
    )
    return (Table(columns, tuple(_cells(t, report) for t in report.topics)),)


def _cells(topic: TopicReport, report: TopicsReport) -> tuple[Value, ...]:
    state = Cell(str(topic.state), _TONES[topic.state])
    if topic.topic is None:
        needed = f"needed by {', '.join(topic.declared)}" if topic.declared else None
        return (topic.name, state, None, None, None, None, None, needed)
    return (
        topic.name,
        state,
        len(topic.partitions),
        f"{sum(len(p.info.isr) for p in topic.partitions)}/{sum(len(p.info.replicas) for p in topic.partitions)}",
        _records(topic),
        format_duration(topic.newest_age(report.taken_at)),
        _kept(topic.config),
        _groups(topic, report),
    )


def _records(topic: TopicReport) -> str | int | None:
    return f"≤{topic.records}" if topic.compacted and topic.records else topic.records


def _kept(config: TopicConfig | None) -> str | None:
    if config is None:
        return None
    if "delete" not in config.cleanup_policy:
        return "compacted"
    return "for ever" if config.retention_unlimited else format_duration(config.retention)


def _groups(topic: TopicReport, report: TopicsReport) -> str:
    if report.groups_error:
        return "?"
    shown = [_group_words(g) for g in topic.consumers[:SHOWN_GROUPS]]
    left = len(topic.consumers) - len(shown)
    return ", ".join([*shown, *([f"and {left} more"] if left else [])]) or "none"


def _group_words(group: Group) -> str:
    if group.error:
        return f"{group.group_id} (UNKNOWN)"
    members = f", {len(group.members)}" if group.members_known and group.members else ""
    return f"{group.group_id} ({group.state}{members})"


def _one(topic: TopicReport, report: TopicsReport) -> tuple[Section, ...]:
    columns = (
        Column("PARTITION"),
        Column("LEADER", right=True),
        Column("REPLICAS", priority=2),
        Column("IN-SYNC", priority=1),
        Column("START", right=True),
        Column("END", right=True),
        Column("RECORDS", right=True),
        Column("NEWEST", right=True),
    )
    rows = tuple(
        (
            f"{topic.name}-{p.info.partition}",
            p.info.leader,
            ",".join(map(str, p.info.replicas)),
            ",".join(map(str, p.info.isr)),
            p.log.log_start_offset,
            p.log.log_end_offset,
            p.records,
            format_duration(report.taken_at - p.newest) if p.newest and p.newest <= report.taken_at else None,
        )
        for p in topic.partitions
    )
    facts: list[Line] = [
        ("state: ", Cell(str(topic.state), _TONES[topic.state])),
        f"records: {'-' if topic.records is None else _records(topic)}, kept: {_kept(topic.config) or '-'}",
        f"groups: {_groups(topic, report)}",
    ]
    absent = sorted(set(topic.declared) - {g.group_id for g in topic.consumers})
    if absent and not report.groups_error:
        facts.append(Cell(f"ought to read it, and does not: {', '.join(absent)}", Tone.WARN))
    facts += [
        Cell(f"{topic.name}-{p.info.partition}: {p.log.error}", Tone.WARN) for p in topic.partitions if p.log.error
    ]
    return (Text(tuple(facts), topic.name), Table(columns, rows))


def _json_row(topic: TopicReport, report: TopicsReport) -> dict[str, object]:
    config = topic.config
    return {
        "topic": topic.name,
        "state": topic.state,
        "expected": topic.expected,
        "internal": topic.topic.internal if topic.topic else False,
        "log_records": topic.records,
        "log_records_is_upper_bound": topic.compacted,
        "retention_seconds": config.retention if config else None,
        "retention_unlimited": config.retention_unlimited if config else None,
        "retention_bytes": config.retention_bytes if config else None,
        "cleanup_policy": config.cleanup_policy if config else None,
        "newest_record_at": topic.newest,
        "newest_record_age_seconds": topic.newest_age(report.taken_at),
        "groups": [
            {
                "group": g.group_id,
                "state": g.state,
                "members": len(g.members) if g.members_known else None,
            }
            for g in topic.consumers
        ]
        if not report.groups_error
        else None,
        "expected_groups": topic.declared,
        "partitions": [_json_partition(p) for p in topic.partitions],
    }


def _json_partition(partition: PartitionReport) -> dict[str, object]:
    return {
        "partition": partition.info.partition,
        "leader": partition.info.leader,
        "replicas": partition.info.replicas,
        "in_sync_replicas": partition.info.isr,
        "log_start_offset": partition.log.log_start_offset,
        "log_end_offset": partition.log.log_end_offset,
        "log_records": partition.records,
        "newest_record_at": partition.newest,
        "error": partition.log.error,
    }
