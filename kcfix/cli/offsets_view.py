"""How moves of committed offsets are shown: old and new, what is read again, what is skipped, and why not."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from kcfix.cli.offsets_rows import move_row
from kcfix.core.move.apply import MoveOutcome, MoveResult
from kcfix.core.move.committing import offset_text
from kcfix.core.move.passage import Passage, is_unsettled
from kcfix.core.move.plan import Move, MovePlan
from kcfix.core.move.settlement import Settlement
from kcfix.core.offsets import Group, TopicPartition
from kcfix.core.restart.plan import No
from kcfix.core.times import format_duration, format_time
from kcfix.errors import Refused, Unreachable
from kcfix.render.view import Cell, Column, Line, Problem, Section, Table, Text, Tone, View
from kcfix.services import Services

TOLD = 10
"""Messages of a passage that are listed; `-o json` has more."""

MoveResults = dict[TopicPartition, MoveResult]

MESSAGE_COLUMNS = (
    Column("PARTITION", priority=1),
    Column("OFFSET", right=True),
    Column("PAYMENT"),
    Column("SETTLED"),
    Column("WHY", wrap=True),
)


def move_view(
    plan: MovePlan,
    words: Sequence[str],
    services: Services,
    exit_code: int,
    *,
    results: Mapping[TopicPartition, MoveResult] | None = None,
    run_id: str | None = None,
    warnings: Sequence[str] = (),
    applying: bool = False,
) -> View:
    """The plan; with `results` what became of it. `words`: the command without --apply. `applying`: shown before."""
    done = results or {}
    applied = results is not None
    return View(
        schema="offsets-move",
        sections=(
            Text(_head(plan), wrap=True),
            _table(plan, done, applied=applied),
            *_messages(plan),
            Text(tuple(_how(m) for m in plan.moves if m.place.offset is not None or m.changes), wrap=True),
            Text(_summary(plan, done, services, told=exit_code == 0, applying=applying, run_id=run_id), wrap=True),
        ),
        data=[move_row(plan, move, done.get(move.partition)) for move in plan.moves],
        summary={
            "applied": applied,
            "run_id": run_id,
            "group": plan.group.group_id,
            "group_state": plan.group.state,
            "worker": plan.stage.worker or None,
            "checked": plan.checked,
            "target": plan.target.text,
            "refusals": [no.reason for no in plan.refusals],
            "cut_short": plan.halted,
            "outcomes": dict(Counter(str(r.outcome) for r in done.values())),
            "offsets_kept_seconds": plan.offsets_kept,
            "offsets_expire_at": plan.expires_at,
        },
        warnings=(*plan.halted, *plan.notes, *warnings),
        errors=_problems(plan, done) if exit_code else (),
        next=() if applying else _next(plan, words, done, services, run_id, applied=applied),
        ids=tuple(str(m.partition) for m in plan.changing),
        exit_code=exit_code,
        changed=any(r.changed for r in done.values()),
    )


def group_line(group: Group) -> str:
    """The group with its state in words."""
    count = len(group.members)
    members = f"{count} member{'s' * (count != 1)}" if group.members_known else "members unknown"
    return f"group {group.group_id}: {group.state}, {members}"


def _head(plan: MovePlan) -> tuple[Line, ...]:
    lines: list[Line] = [group_line(plan.group)]
    if not plan.checked:
        lines.append("whether its messages were handled can't be checked, so all of them count as unsettled")
    return tuple(lines)


def _table(plan: MovePlan, done: Mapping[TopicPartition, MoveResult], *, applied: bool) -> Table:
    columns = (
        Column("PARTITION"),
        Column("COMMITTED", right=True),
        Column("NEW", right=True),
        Column("READ", right=True),
        Column("SKIPPED", right=True),
        Column("UNSETTLED", right=True),
        *((Column("OUTCOME"),) if applied else ()),
        Column("START", right=True, priority=2),
        Column("END", right=True, priority=2),
    )
    rows = tuple(_row(move, done.get(move.partition), applied=applied) for move in plan.moves)
    note = "READ: messages that are read and would not be. SKIPPED: those that are not. UNSETTLED: of the skipped."
    empty = "no partition could be looked at" if plan.unknown else "every partition has a usable committed offset"
    return Table(columns, rows, notes=(note,) if rows else (), empty=empty)


def _row(move: Move, result: MoveResult | None, *, applied: bool) -> tuple[Cell | str | int | None, ...]:
    new = Cell(str(move.place.offset), Tone.STRONG) if move.changes else Cell("stays", Tone.DIM)
    lost = move.skipped.unsettled_count if move.skipped is not None else 0
    outcome = None
    if result is not None:
        outcome = Cell(result.outcome, Tone.GOOD if result.outcome is MoveOutcome.MOVED else Tone.BAD)
    return (
        str(move.partition),
        move.lag.committed_offset,
        new,
        move.reread.records if move.reread is not None else 0,
        move.skipped.records if move.skipped is not None else 0,
        Cell(str(lost), Tone.BAD if lost else Tone.PLAIN),
        *((outcome,) if applied else ()),
        move.lag.log_start_offset,
        move.lag.log_end_offset,
    )


def _how(move: Move) -> Line:
    word = f"{offset_text(move.lag.committed_offset)} → {move.place.offset}" if move.changes else "stays"
    return (f"{move.partition}: ", Cell(word, Tone.STRONG if move.changes else Tone.DIM), f" ({move.place.how})")


def _messages(plan: MovePlan) -> list[Section]:
    """The messages that the moves pass: skipped ones first, unsettled before settled."""
    sections: list[Section] = []
    for title, passages in (
        ("skipped", [m.skipped for m in plan.moves if m.skipped is not None]),
        ("read again, or at last", [m.reread for m in plan.moves if m.reread is not None]),
    ):
        if table := passages_table(title, passages):
            sections.append(table)
    return sections


def passages_table(title: str, passages: Sequence[Passage]) -> Table | None:
    """The messages of some passages, unsettled ones first, at most `TOLD` of each; None if there are none."""
    rows: list[Settlement] = []
    more = 0
    for passage in passages:
        first = sorted(passage.listed, key=lambda s: (not is_unsettled(s), s.offset))[:TOLD]
        rows += first
        more += passage.records - len(first)
    if not rows:
        return None
    note = (f"and {more} more: -o json lists up to 1000 of a partition",) if more else ()
    return Table(MESSAGE_COLUMNS, tuple(_message(s) for s in rows), title=title, notes=note)


def _message(s: Settlement) -> tuple[Cell | str | int | None, ...]:
    settled = Cell("no", Tone.BAD) if is_unsettled(s) else Cell("yes", Tone.GOOD)
    return (str(s.partition), s.offset, s.payment_id, settled, Cell(s.reason, Tone.BAD if s.stops else Tone.PLAIN))


def _summary(
    plan: MovePlan,
    done: Mapping[TopicPartition, MoveResult],
    services: Services,
    *,
    told: bool,
    applying: bool,
    run_id: str | None,
) -> tuple[Line, ...]:
    """`told`: with reasons that are no errors of this run; else they are said on standard error."""
    lines: list[Line] = [(Cell("refused: ", Tone.BAD), no.reason) for no in plan.refusals] if told else []
    lines += [
        (Cell(f"{r.outcome}: ", Tone.BAD), f"{tp}: {r.text}")
        for tp, r in sorted(done.items())
        if r.outcome is not MoveOutcome.MOVED
    ]
    if run_id is not None:
        counts = ", ".join(f"{n} {outcome}" for outcome, n in Counter(str(r.outcome) for r in done.values()).items())
        lines.append(f"Applied: {counts}. Journal: run {run_id}.")
        if any(r.changed for r in done.values()):
            lines += _expiry(plan, services)
    elif plan.unknown:
        lines.append("What lies between could not be read, so nothing may be moved. Nothing was changed.")
    elif plan.refusals:
        lines.append("Nothing was changed.")
    elif not plan.changing:
        lines.append("Every offset stands where it is to be. Nothing was changed.")
    else:
        count = len(plan.changing)
        text = f"Planned: {count} offset{'s' * (count != 1)} to be moved."
        lines.append(text if applying else f"{text} Nothing was changed.")
    return tuple(lines)


def _expiry(plan: MovePlan, services: Services) -> list[Line]:
    """How long what was committed lives."""
    if plan.offsets_kept is None:
        return []
    kept = format_duration(plan.offsets_kept)
    told = f"Kafka forgets the offsets of a group {kept} after its last member left"
    if plan.expires_at is not None:
        told += f": at {format_time(plan.expires_at, services.zone)}"
    return [f"{told}. Committing does not begin that time anew, a worker that joins does."]


def _next(
    plan: MovePlan,
    words: Sequence[str],
    done: Mapping[TopicPartition, MoveResult],
    services: Services,
    run_id: str | None,
    *,
    applied: bool,
) -> tuple[str, ...]:
    again = shlex.join(["kcfix", "offsets", *words])
    if not applied:
        more = " --apply" + (" --reason why" if services.settings.protected and "--reason" not in words else "")
        if plan.refusals:
            return (*_hints(plan.refusals), again)
        return (again + more,) if plan.changing else ()
    commands = [*_hints(plan.refusals)]
    if any(r.outcome is not MoveOutcome.MOVED for r in done.values()):
        commands.append(again)
    elif plan.stage.worker and done:
        commands.append(f"kcfix restart {plan.stage.worker}")
    if run_id is not None and any(r.changed for r in done.values()):
        commands.append(f"kcfix undo {run_id}")
    return tuple(commands)


def _hints(refusals: Sequence[No]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(no.hint for no in refusals if no.hint))


def _problems(plan: MovePlan, done: Mapping[TopicPartition, MoveResult]) -> tuple[Problem, ...]:
    found = [Problem(Unreachable.code, Unreachable.kind, text) for text in plan.unknown]
    found += [Problem(Refused.code, Refused.kind, no.reason, no.hint) for no in plan.refusals]
    found += [
        Problem(Unreachable.code, Unreachable.kind, f"{tp}: {r.text}")
        for tp, r in sorted(done.items())
        if r.outcome is MoveOutcome.FAILED
    ]
    return tuple(found)
