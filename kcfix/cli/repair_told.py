"""The words of a repair about its payments: the story of each where they are few, else each reason once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kcfix.cli.money import amount
from kcfix.core.judging.capture import capture_unproven
from kcfix.core.payments import PaymentId
from kcfix.core.repair.follow import Followed
from kcfix.core.repair.plan import Action, RepairPlan, Step
from kcfix.core.repair.result import Outcome, Result
from kcfix.core.times import format_time
from kcfix.render.view import Cell, Line, Tone
from kcfix.services import Services

STORIES = 5
"""As many payments are told of one by one; of more each reason is told once, with how many it is true of."""
REASONS = 20
"""As many reasons at most; all of them are in `-o json`."""

_TONES = {
    Action.NOTHING: Tone.GOOD,
    Action.WAIT: Tone.WARN,
    Action.REFUSE: Tone.WARN,
    Action.UNKNOWN: Tone.BAD,
    Action.NOT_FOUND: Tone.BAD,
}
_AFTERWARDS = {Action.REFUSE: "REFUSED", Action.WAIT: "WAITS"}
"""What an action is called once the run is over."""

Results = Mapping[PaymentId, Result]


def word(step: Step, result: Result | None, *, applied: bool) -> Cell:
    """What is to be done about a payment, or what became of it, in one word."""
    if result is not None:
        return Cell(result.outcome, Tone.GOOD if result.outcome is Outcome.SETTLED else Tone.BAD)
    text = _AFTERWARDS.get(step.action, step.action) if applied else step.action
    return Cell(text, _TONES.get(step.action, Tone.STRONG))


def told(
    plan: RepairPlan,
    results: Results,
    followed: Mapping[PaymentId, Followed],
    services: Services,
    *,
    alone: bool,
    applied: bool,
) -> tuple[Line, ...]:
    """The lines. `alone`: no table is shown, so that the one payment is told of in full here."""
    if len(plan.steps) > STORIES:
        return tuple(_reasons(plan.steps, results, applied=applied))
    lines: list[Line] = []
    for step in plan.steps:
        lines += _story(step, results.get(step.payment_id), services, alone=alone, applied=applied)
        if step.payment_id in followed:
            lines.append(f"  then    {followed[step.payment_id].text}")
    return tuple(lines)


def _story(step: Step, result: Result | None, services: Services, *, alone: bool, applied: bool) -> Iterator[Line]:
    verdict, payment = step.verdict, step.facts.payment if step.facts else None
    detail = f" ({verdict.detail.replace('_', ' ')})" if verdict.detail else ""
    head = (Cell(step.payment_id, Tone.STRONG), f"  {verdict.kind}{detail}")
    yield (*head, "  ", word(step, result, applied=applied)) if alone else head
    if alone and payment is not None:
        tier = f", tier {payment.tier}" if payment.tier else ""
        paid = format_time(payment.paid_at, services.zone)
        yield f"  paid    {amount(payment.amount_minor, payment.currency)}{tier}, {paid}"
    if result is None or result.outcome is not Outcome.SETTLED:
        yield f"  is      {verdict.reason}"
        yield from (f"  also    {fact}" for fact in verdict.also)
    if _unproven(step) and payment is not None:
        yield f"  money   capture unproven: {capture_unproven(payment)}; the provider's dashboard tells"
    yield f"  did     {result.text}" if result else f"  plan    {_planned(step)}"
    if result is None:
        yield from (f"  note    {note}" for note in step.notes)


def _reasons(steps: Sequence[Step], results: Results, *, applied: bool) -> Iterator[Line]:
    groups: dict[tuple[str, str], list[Step]] = {}
    words: dict[tuple[str, str], Cell] = {}
    for step in steps:
        result = results.get(step.payment_id)
        shown = word(step, result, applied=applied)
        key = (shown.text, _planned(step) if result is None else _done(result))
        groups.setdefault(key, []).append(step)
        words[key] = shown
    for key, group in list(groups.items())[:REASONS]:
        verdicts = Counter(_kind(step) for step in group)
        named = ", ".join(f"{count} {kind}" for kind, count in verdicts.items())
        yield (words[key], f"{' ' * (10 - len(key[0]))}  {named}: {key[1]}")
        notes = dict.fromkeys(n for s in group for n in s.notes if s.payment_id not in results)
        yield from (f"  note      {note}" for note in notes)
        if unproven := sum(_unproven(step) for step in group):
            yield f"  money     {unproven} with unproven capture: the provider's dashboard tells"
    left = len(groups) - REASONS
    yield f"… {left} more reasons are in `-o json`." if left > 0 else "`kcfix trace ID` tells of one."


def _kind(step: Step) -> str:
    detail = f" ({step.verdict.detail.replace('_', ' ')})" if step.verdict.detail else ""
    return f"{step.verdict.kind}{detail}"


def _unproven(step: Step) -> bool:
    payment = step.facts.payment if step.facts else None
    return step.action.changes and payment is not None and capture_unproven(payment) is not None


def _done(result: Result) -> str:
    """What became of it, without the offset of its own message where all is well."""
    return result.text.partition(" (")[0] if result.outcome is Outcome.SETTLED else result.text


def _planned(step: Step) -> str:
    left = {
        Action.NOTHING: "nothing: ",
        Action.WAIT: "nothing: ",
        Action.REFUSE: "left alone: ",
        Action.UNKNOWN: "left alone: ",
    }
    return left.get(step.action, "") + step.why
