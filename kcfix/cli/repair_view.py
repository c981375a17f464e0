"""How a repair is shown: what is the case with each payment, what is planned, what became of it, what to do next."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kcfix.cli.money import amount
from kcfix.cli.repair_next import TOLD, next_commands
from kcfix.cli.repair_options import Options
from kcfix.cli.repair_rows import malformed_row, repair_row
from kcfix.cli.repair_told import told, word
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.follow import Followed
from kcfix.core.repair.plan import Action, RepairPlan, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.core.times import format_time
from kcfix.errors import Unreachable
from kcfix.render.view import Cell, Column, Line, Problem, Table, Text, Tone, View
from kcfix.services import Services

LONGEST = 60
"""Letters of a word that is no id which a table shows; a UUID has 36."""


def plan_view(
    plan: RepairPlan,
    malformed: Sequence[str],
    options: Options,
    services: Services,
    exit_code: int,
    warnings: Sequence[str] = (),
    saved: int | None = None,
) -> View:
    """The plan alone. `saved`: how many of its steps were written to the file that `options` names."""
    return _view(plan, {}, malformed, options, services, exit_code, applied=False, warnings=warnings, saved=saved)


def result_view(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    malformed: Sequence[str],
    options: Options,
    services: Services,
    exit_code: int,
    run_id: str | None = None,
    warnings: Sequence[str] = (),
    followed: Mapping[PaymentId, Followed] = MappingProxyType({}),
) -> View:
    """What became of each payment; `followed`: how far the flow went on for those that were followed."""
    return _view(
        plan,
        results,
        malformed,
        options,
        services,
        exit_code,
        applied=True,
        run_id=run_id,
        warnings=warnings,
        followed=followed,
    )


def _view(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    malformed: Sequence[str],
    options: Options,
    services: Services,
    exit_code: int,
    *,
    applied: bool,
    run_id: str | None = None,
    warnings: Sequence[str] = (),
    saved: int | None = None,
    followed: Mapping[PaymentId, Followed] = MappingProxyType({}),
) -> View:
    alone = len(plan.steps) == 1 and not malformed
    sections: list[Table | Text] = [] if alone else [_table(plan, results, malformed, services, applied=applied)]
    lines = told(plan, results, followed, services, alone=alone, applied=applied)
    if lines:
        sections.append(Text((*(() if alone else ("",)), *lines), wrap=True))
    ending = _summary_lines(plan, results, malformed, options, applied=applied, run_id=run_id)
    if saved is not None:
        plan_of = f"{saved} payment{'s' if saved != 1 else ''}" if saved else "which is empty"
        ending = (*ending, f"The plan, {plan_of}, is in {options.plan_file}.")
    if followed:
        ending = (*ending, *_arrivals(followed))
    sections.append(Text(("", *ending), wrap=True))
    data = [repair_row(s, results.get(s.payment_id), followed.get(s.payment_id)) for s in plan.steps]
    data += [malformed_row(word) for word in malformed]
    return View(
        schema="repair",
        sections=tuple(sections),
        data=data,
        summary=_summary(plan, results, malformed, applied=applied, run_id=run_id),
        warnings=tuple(warnings),
        next=(
            *(next_commands(plan, results, options, services, applied=applied) if applied or not options.apply else ()),
            *_stuck(followed),
        ),
        ids=_ids(plan, results, applied=applied),
        errors=_silent(plan, results),
        exit_code=exit_code,
        changed=any(r.changed for r in results.values()),
    )


def _table(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    malformed: Sequence[str],
    services: Services,
    *,
    applied: bool,
) -> Table:
    """One row a payment; columns of which nothing is known are left out."""
    columns = (
        Column("PAYMENT"),
        Column("VERDICT"),
        Column("OUTCOME" if applied else "ACTION"),
        Column("PAID", priority=1),
        Column("AMOUNT", right=True, priority=2),
        Column("STUDENT", priority=4),
        Column("COURSE", priority=3),
    )
    rows = [_row(step, results.get(step.payment_id), services, applied=applied) for step in plan.steps]
    rows += [
        (_short(word), Cell("NOT_FOUND", Tone.BAD), Cell("NOT_FOUND", Tone.BAD), None, None, None, None)
        for word in malformed
    ]
    kept = [i for i, column in enumerate(columns) if not column.priority or any(row[i] is not None for row in rows)]
    return Table(
        tuple(columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows),
        empty="no payment was given",
    )


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[:LONGEST]}…"


def _silent(plan: RepairPlan, results: Mapping[PaymentId, Result]) -> tuple[Problem, ...]:
    """The systems that did not answer, or failed a change, each once, in the words of the first payment left by it."""
    said: dict[str, None] = {}
    for snapshot in plan.snapshots.by_payment.values():
        for reading in (snapshot.facts, snapshot.evidence if snapshot.facts.value else None):
            if reading is not None and reading.error is not None:
                said[reading.error] = None
    unknown = any(s.action is Action.UNKNOWN for s in plan.steps)
    if not unknown:
        said.clear()
    said.update(dict.fromkeys(r.text for r in results.values() if r.outcome is Outcome.FAILED))
    return tuple(Problem(Unreachable.code, Unreachable.kind, message) for message in said)


def _row(step: Step, result: Result | None, services: Services, *, applied: bool) -> tuple[Cell | str | None, ...]:
    payment = step.facts.payment if step.facts else None
    return (
        step.payment_id,
        Cell(step.verdict.kind, Tone.GOOD if step.verdict.kind is VerdictKind.PURCHASED else Tone.PLAIN),
        word(step, result, applied=applied),
        format_time(payment.paid_at, services.zone) if payment else None,
        amount(payment.amount_minor, payment.currency) if payment else None,
        payment.student_id if payment else None,
        payment.course_id if payment else None,
    )


def _arrivals(followed: Mapping[PaymentId, Followed]) -> tuple[Line, ...]:
    arrived = sum(f.arrived for f in followed.values())
    return (f"Followed {len(followed)}: {arrived} with an approved allocation and sessions.",)


def _stuck(followed: Mapping[PaymentId, Followed]) -> tuple[str, ...]:
    """Where to look if the flow did not go on."""
    stuck = [i for i, f in followed.items() if not f.arrived]
    return (f"kcfix trace {' '.join(stuck)}",) if 0 < len(stuck) <= TOLD else ()


def _summary(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    malformed: Sequence[str],
    *,
    applied: bool,
    run_id: str | None,
) -> dict[str, object]:
    return {
        "applied": applied,
        "run_id": run_id,
        "payments": len(plan.steps) + len(malformed),
        "verdicts": dict(Counter(str(s.verdict.kind) for s in plan.steps)),
        "actions": dict(Counter(str(s.action) for s in plan.steps)),
        "outcomes": dict(Counter(str(r.outcome) for r in results.values())),
        "amount_minor_to_settle": _minor(plan.changing),
    }


def _summary_lines(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    malformed: Sequence[str],
    options: Options,
    *,
    applied: bool,
    run_id: str | None,
) -> tuple[Line, ...]:
    lines: list[Line] = []
    if malformed:
        are = "is no payment id" if len(malformed) == 1 else "are no payment ids"
        lines.append(f"{len(malformed)} of the ids given {are}.")
    others = Counter(s.action for s in plan.steps if not s.action.changes)
    left = f" Left alone: {_counted(others)}." if others else ""
    beyond = max(0, len(plan.changing) - options.limit)
    changed = "" if options.apply else " Nothing was changed."
    if applied and results:
        outcomes = Counter(r.outcome for r in results.values())
        lines.append(f"Applied: {_counted(outcomes)}.{left} Journal: run {run_id}.")
    elif applied:
        lines.append(f"Nothing was changed.{left}")
    elif plan.changing:
        actions = Counter(s.action for s in plan.changing)
        more = f" {beyond} beyond --max would be left." if beyond else ""
        lines.append(f"Planned: {_counted(actions)}, for {money_of(plan.changing)}.{more}{left}{changed}")
    else:
        lines.append(f"Nothing for kcfix to do.{left}{changed}")
    return tuple(lines)


def _counted(counts: Mapping[Action, int] | Mapping[Outcome, int]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items())


def money_of(steps: Sequence[Step]) -> str:
    """What was paid with these payments, by currency."""
    return ", ".join(amount(minor, currency) for currency, minor in sorted(_minor(steps).items())) or "nothing"


def _minor(steps: Sequence[Step]) -> dict[str, int]:
    money: dict[str, int] = defaultdict(int)
    for step in steps:
        if step.facts and step.facts.payment:
            money[step.facts.payment.currency] += step.facts.payment.amount_minor
    return dict(money)


def _ids(plan: RepairPlan, results: Mapping[PaymentId, Result], *, applied: bool) -> tuple[str, ...]:
    """`-q`: after --apply the payments that are settled now, else those that would be changed."""
    if applied:
        settled = {i for i, r in results.items() if r.outcome is Outcome.SETTLED}
        return tuple(s.payment_id for s in plan.steps if s.payment_id in settled or s.action is Action.NOTHING)
    return tuple(s.payment_id for s in plan.changing)
