"""How the plan of a restart is shown: what would be done about each worker, or why nothing is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kcfix.cli.restart_rows import datum
from kcfix.core.move.pin import Pin
from kcfix.core.move.settlement import Settlement
from kcfix.core.restart.plan import Plan, Way
from kcfix.core.restart.report import Report
from kcfix.core.times import format_time
from kcfix.core.workers import Container
from kcfix.render.view import Cell, Column, Line, Problem, Section, Table, Text, Tone, View
from kcfix.services import Services

TOLD = 10
"""Messages of a partition that are listed; `-o json` has more."""

_PIN_COLUMNS = (
    Column("PARTITION"),
    Column("COMMITTED", right=True),
    Column("START", right=True),
    Column("END", right=True),
    Column("PIN", right=True),
    Column("UNSETTLED", right=True),
)


def plan_view(reports: Sequence[Report], services: Services, code: int) -> View:
    """What would be done about each worker, and what would not and why."""
    sections: list[Section] = []
    for report in reports:
        sections += _plan_sections(report.plan, services)
    return View(
        schema="restart",
        sections=tuple(sections),
        data=[datum(r) for r in reports],
        summary={"applied": False, "workers": len(reports)},
        errors=tuple(problems(reports)) if code else (),
        next=_plan_next(reports),
        ids=tuple(r.worker for r in reports if r.plan.changes),
        exit_code=code,
    )


def _plan_sections(plan: Plan, services: Services) -> list[Section]:
    lines: list[Line] = [f"  {_box(c, services)}" for c in plan.containers]
    lines.append(f"  {_group(plan)}")
    if plan.refusal is not None:
        lines.append((Cell("  refused: ", Tone.BAD), plan.refusal.reason))
    lines += [(Cell("  loss: ", Tone.BAD), loss) for loss in plan.loss]
    lines += [f"  note: {note}" for note in plan.notes]
    sections: list[Section] = [Text(tuple(lines), title=f"{plan.stage.worker}: {_words(plan)}", wrap=True)]
    if plan.pins:
        sections.append(_pins_table(plan))
        sections += _messages(plan.pins)
    return sections


def _words(plan: Plan) -> str:
    if plan.refusal is not None:
        return "nothing is done"
    pinned = sum(pin.needed for pin in plan.pins)
    offsets = f"{pinned} offset{'s' * (pinned != 1)}"
    match plan.way:
        case Way.RESTART:
            return "restart" if plan.loss else "restart: every partition has a committed offset, nothing can be skipped"
        case Way.START:
            return "start" if plan.loss else "start: every partition has a committed offset, nothing can be skipped"
        case Way.PIN:
            stop = "stop, wait until the group is empty, " if plan.stopping else ""
            return f"{stop}commit {offsets}, start"
        case Way.MISSING:
            return f"has no container: commit {offsets} before it is made" if pinned else "has no container"
        case Way.ELSEWHERE:
            return f"can't be reached: commit {offsets} before it starts" if pinned else "can't be reached"


def _box(container: Container, services: Services) -> str:
    if container.started_at is None:
        return f"{container.place}  {container.state}, never started"
    if container.running or container.finished_at is None:
        often = f", restarted {container.restart_count} times by Docker" if container.restart_count else ""
        return f"{container.place}  {container.state} since {format_time(container.started_at, services.zone)}{often}"
    code = "" if container.exit_code is None else f" ({container.exit_code})"
    return f"{container.place}  {container.state}{code} since {format_time(container.finished_at, services.zone)}"


def _group(plan: Plan) -> str:
    if plan.view is None:
        return f"group {plan.stage.group}: unknown"
    group = plan.view.group
    count = len(group.members)
    members = f"{count} member{'s' * (count != 1)}" if group.members_known else "members unknown"
    return f"group {group.group_id}: {group.state}, {members}"


def _pins_table(plan: Plan) -> Table:
    rows = tuple(
        (
            str(pin.partition),
            pin.committed_offset,
            pin.log_start_offset,
            pin.log_end_offset,
            None if pin.refused else Cell(str(pin.offset), Tone.STRONG),
            pin.waiting_count if pin.checked else Cell("unknown", Tone.WARN),
        )
        for pin in plan.pins
    )
    note = "PIN: the offset to be committed, from which the worker will read. UNSETTLED: messages from there on."
    return Table(_PIN_COLUMNS, rows, title="partitions that a plain start would skip", notes=(note,))


def _messages(pins: Iterable[Pin]) -> list[Section]:
    """The messages that matter there: unsettled ones, and those that the worker must not read."""
    found: list[Settlement] = []
    more = 0
    for pin in pins:
        here = sorted((*pin.passed, *pin.waiting, *pin.stops), key=lambda s: s.offset)
        found += here[:TOLD]
        more += len(pin.passed) + pin.waiting_count + len(pin.stops) - len(here[:TOLD])
    return [messages_table("messages there", found, more)] if found else []


def messages_table(title: str, messages: Iterable[Settlement], more: int = 0) -> Table:
    """Messages with their payments, and why each is here."""
    found = tuple(messages)
    topics = {s.partition.topic for s in found}
    alone = len(topics) == 1
    rows = tuple(
        (
            s.partition.partition if alone else str(s.partition),
            s.offset,
            s.payment_id,
            Cell(s.reason, Tone.BAD if s.stops else Tone.PLAIN),
        )
        for s in found
    )
    columns = (
        Column("P" if alone else "PARTITION", right=alone),
        Column("OFFSET", right=True),
        Column("PAYMENT"),
        Column("STATE", wrap=True),
    )
    where = f" ({topics.pop()})" if alone else ""
    return Table(columns, rows, title=f"{title}{where}", notes=(f"and {more} more: -o json",) if more > 0 else ())


def _plan_next(reports: Sequence[Report]) -> tuple[str, ...]:
    commands: list[str] = []
    for report in reports:
        plan = report.plan
        if plan.refusal is not None and plan.refusal.hint:
            commands += commands_in(plan.refusal.hint)
        elif plan.way is Way.MISSING:
            if plan.changes:
                commands.append(f"kcfix restart {plan.stage.worker} --apply")
            if plan.up_line:
                commands.append(plan.up_line)
        elif plan.way is Way.ELSEWHERE:
            commands += by_hand(plan)
    return tuple(dict.fromkeys(commands))


def by_hand(plan: Plan) -> tuple[str, ...]:
    """What a person has to do where the worker runs, in order, with what kcfix can do from here in between."""
    worker = plan.stage.worker
    if plan.view is None or plan.refusal is not None:
        return ()
    if not plan.changes:
        return (f"docker compose restart {worker}",)
    stop = () if plan.view.group.is_empty else (f"docker compose stop {worker}",)
    return (*stop, f"kcfix restart {worker} --apply", f"docker compose up -d {worker}")


def commands_in(hint: str) -> list[str]:
    """The commands of a hint, one by one."""
    return [part.strip() for part in hint.split(", then ")]


def problems(reports: Sequence[Report]) -> Iterable[Problem]:
    """What kept kcfix from doing something about a worker, as the document shows it."""
    for report in reports:
        plan = report.plan
        if report.error is not None:
            error = report.error
            yield Problem(error.code, error.kind, f"{report.worker}: {error.message}", error.hint)
        elif report.changed:
            continue
        elif plan.refusal is not None:
            yield Problem(report.code, "refused", f"{report.worker}: {plan.refusal.reason}", plan.refusal.hint)
        elif plan.way is Way.MISSING:
            yield Problem(
                report.code, "not_found", f"{report.worker} has no container, so nothing was restarted", plan.up_line
            )
        elif plan.way is Way.ELSEWHERE:
            yield Problem(report.code, "unreachable", f"{report.worker}: {plan.notes[0]}")
