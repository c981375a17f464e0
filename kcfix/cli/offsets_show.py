"""`kcfix offsets show`: the record that each partition stands on, what comes of it, and the way out."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

from kcfix.cli.offsets_move import containers, move_sources
from kcfix.cli.offsets_rows import standing_row
from kcfix.cli.offsets_view import group_line, passages_table
from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.worker_lines import newest_lines
from kcfix.core.move.passage import is_unsettled
from kcfix.core.move.read import TopicChoice, names_of_running
from kcfix.core.move.standing import GroupStanding, Standing, read_standing
from kcfix.core.offsets import GroupState
from kcfix.core.times import format_time
from kcfix.errors import KcfixError, Unreachable
from kcfix.render.view import Cell, Column, Line, Problem, Section, Table, Text, Tone, View
from kcfix.services import Services

COLUMNS = (
    Column("PARTITION"),
    Column("COMMITTED", right=True),
    Column("LAG", right=True, priority=1),
    Column("RECORD", right=True),
    Column("PAYMENT"),
    Column("STATE", priority=2),
    Column("START", right=True, priority=3),
    Column("END", right=True, priority=3),
)
FAILURES = 3
"""Kinds of failures at an offset that are shown, the newest ones."""


def show_groups(groups: tuple[str, ...], topics: tuple[TopicChoice, ...], services: Services) -> View:
    """Where these groups stand; without names those of the flow that exist.

    Raises:
        NotFound, Unreachable: see `read_standing`.
    """
    services.progress("reading groups, offsets and the messages that they stand on")
    where = move_sources(services)

    def lines(worker: str) -> Iterable[LogEntry]:
        return newest_lines(services.docker, services.discovery.workers.get(worker, ()))

    names = groups or _there(services)
    found = [read_standing(group, topics, where, lines) for group in names]
    standings = [s for one in found for s in one.partitions]
    errors = tuple(f"{s.partition}: {s.error}" for s in standings if s.error is not None)
    unwell = any(_unwell(s) for s in standings)
    return View(
        schema="offsets",
        sections=(_answer(found), *(section for one in found for section in _sections(one, services))),
        data=[standing_row(one.group.group_id, s) for one in found for s in one.partitions],
        summary={
            "groups": [
                {"group": one.group.group_id, "state": one.group.state, "worker": one.stage.worker or None}
                for one in found
            ],
            "stuck_partitions": sum(s.stuck for s in standings),
            "unsettled_unprotected_records": sum(s.passed.unsettled_count for s in standings if s.passed is not None),
        },
        warnings=tuple(f"could not be read: {text}" for one in found for text in one.unread),
        errors=tuple(Problem(Unreachable.code, Unreachable.kind, text) for text in errors),
        next=tuple(dict.fromkeys(command for one in found for command in _way_out(one, services))),
        ids=tuple(str(s.partition) for s in standings if _unwell(s)),
        exit_code=1 if unwell else Unreachable.code if errors else 0,
    )


def _there(services: Services) -> tuple[str, ...]:
    """The groups of the flow that exist; if none does, the first, so that something is said."""
    stages = services.flow.stages
    groups = services.kafka.groups([stage.group for stage in stages])
    found = tuple(s.group for s in stages if groups[s.group].state is not GroupState.NOT_FOUND)
    return found or (stages[0].group,)


def _unwell(standing: Standing) -> bool:
    """Whether it stands still, or has passed something by that somebody waits for."""
    return standing.stuck or (standing.passed is not None and standing.passed.unsettled_count > 0)


def _sections(found: GroupStanding, services: Services) -> list[Section]:
    rows = tuple(_row(s) for s in found.partitions)
    sections: list[Section] = [Table(COLUMNS, rows, title=group_line(found.group))]
    told = [line for s in found.partitions for line in _told(s, services)]
    if told:
        sections.append(Text(tuple(told), wrap=True))
    passed = [s.passed for s in found.partitions if s.passed is not None and s.passed.unsettled_count]
    title = "without a usable committed offset: a start at latest skips them, or has skipped them"
    if table := passages_table(title, passed):
        sections.append(table)
    return sections


def _row(s: Standing) -> tuple[Cell | str | int | None, ...]:
    lag = s.lag
    return (
        str(s.partition),
        lag.committed_offset,
        lag.lag_records,
        s.record.offset if s.record is not None else None,
        s.message.payment_id if s.message is not None else None,
        _state(s),
        lag.log_start_offset,
        lag.log_end_offset,
    )


def _state(s: Standing) -> Cell:
    if s.stuck:
        return Cell("STUCK", Tone.BAD)
    if s.error is not None:
        return Cell("UNKNOWN", Tone.BAD)
    if s.lag.unprotected:
        return Cell("UNPROTECTED", Tone.BAD if _unwell(s) else Tone.WARN)
    return Cell("READ TO THE END" if s.record is None else "WAITING")


def _answer(found: Sequence[GroupStanding]) -> Text:
    """What is wrong, first: the rest is its proof."""
    standings = [s for one in found for s in one.partitions]
    lines: list[Line] = []
    for s in standings:
        if s.stuck and s.record is not None:
            behind = (s.lag.lag_records or 1) - 1
            wait = f"; {behind} more wait behind it" if behind else ""
            lines.append((Cell(f"{s.partition} stands still", Tone.BAD), f" at offset {s.record.offset}{wait}"))
        if s.passed is not None and s.passed.unsettled_count:
            count = s.passed.unsettled_count
            what = f"{count} unsettled message{'s' * (count != 1)}"
            lines.append((Cell(f"{s.partition} is unprotected", Tone.BAD), f": a start skips {what}, or has skipped"))
        if s.error is not None:
            lines.append((Cell(f"{s.partition} is unknown", Tone.BAD), f": {s.error}"))
    return Text(
        tuple(lines) or ("No partition stands still, and no unprotected one holds an unsettled message.",), wrap=True
    )


def _told(s: Standing, services: Services) -> list[Line]:
    """What is known of the record that it stands on, and of those that it passed and that were seen to fail."""
    lines: list[Line] = []
    if s.record is not None:
        what = s.event_type or "no event"
        when = f" of {format_time(s.record.timestamp, services.zone)}" if s.record.timestamp else ""
        lines.append(f"{s.partition} offset {s.record.offset}: {what}{when}")
        if s.message is not None:
            lines.append(
                (Cell(f"  {s.message.effect.lower()}: ", Tone.BAD if s.message.stops else Tone.DIM), s.message.reason)
            )
        lines += _failures(s.failures_of(s.record.offset))
    if s.passed is not None:
        for message in s.passed.unsettled:
            if seen := s.failures_of(message.offset):
                lines.append(f"{s.partition} offset {message.offset} was passed after it failed")
                lines += _failures(seen)
    return lines


def _failures(seen: Sequence[str]) -> list[Line]:
    """Each failure once, with how often it was seen; the newest kinds of it."""
    counts = Counter(seen)
    newest = list(dict.fromkeys(reversed(seen)))[:FAILURES]
    return [_failure(text, counts[text]) for text in reversed(newest)]


def _failure(text: str, count: int) -> Line:
    return (Cell("  failed: ", Tone.BAD), text, Cell(f" ({count} times)", Tone.DIM) if count > 1 else "")


def _way_out(found: GroupStanding, services: Services) -> list[str]:
    """Settle the payment, then move that partition by exactly one; pin what nothing protects."""
    group, worker = found.group.group_id, found.stage.worker
    commands: list[str] = []
    stuck = [s for s in found.partitions if s.stuck]
    bare = [s for s in found.partitions if s.passed is not None and s.passed.unsettled_count]
    owed = [s.message.payment_id for s in stuck if s.message and is_unsettled(s.message) and s.message.payment_id]
    if owed:
        commands.append(shlex.join(["kcfix", "repair", *dict.fromkeys(owed)]))
    if stuck:
        commands += _stop(worker, services)
        for s in stuck:
            where = f"{s.partition.topic}:{s.partition.partition}"
            commands.append(shlex.join(["kcfix", "offsets", "skip-one", "--group", group, "--topic", where, "--apply"]))
    if bare and not worker:
        commands.append(shlex.join(["kcfix", "offsets", "pin", "--group", group]))
    if (stuck or bare) and worker:
        commands.append(f"kcfix restart {worker}")
    return commands


def _stop(worker: str, services: Services) -> list[str]:
    try:
        names: Sequence[str] = names_of_running(containers(worker, services)) if worker else ()
    except KcfixError:
        names = ()
    return [shlex.join(["docker", "stop", *names])] if names else []
