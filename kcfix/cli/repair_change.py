"""The changing half of `kcfix repair`: guard, show, ask, plan again, apply, show what became of it."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from kcfix.cli.guards import confirmed, same_system, unguarded
from kcfix.cli.preview import show_plan
from kcfix.cli.repair_options import Options
from kcfix.cli.repair_view import money_of, plan_view, result_view
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.apply import Applying
from kcfix.core.repair.codes import applied_code
from kcfix.core.repair.follow import Following, follow
from kcfix.core.repair.plan import Action, RepairPlan, Step
from kcfix.core.repair.result import Outcome, Result, Results
from kcfix.core.repair.run import RepairRun
from kcfix.errors import KcfixError, PartlyApplied, Refused
from kcfix.render.view import View
from kcfix.services import Services


def change(
    plan: RepairPlan,
    malformed: Sequence[str],
    options: Options,
    services: Services,
    plan_again: Callable[[], RepairPlan],
    origin: Mapping[str, object] | None = None,
) -> View:
    """Carry out the plan, the oldest payments first, at most `options.limit` of them.

    `origin` is what the journal is to say of where the plan came from.

    Raises:
        Refused: nothing was changed. PartlyApplied: something was, and the run could not go on.
    """
    unknown_ids = bool(malformed)
    chosen = plan.changing[: options.limit]
    if not chosen:
        code = applied_code(plan.steps, (), unknown_ids=unknown_ids)
        return result_view(plan, {}, malformed, options, services, code)
    warnings = (*same_system(services), *unguarded(services, chosen))
    show_plan(services, plan_view(plan, malformed, options, services, 0, warnings))
    if not options.yes and not _agreed(chosen, plan, options, services):
        raise Refused("declined; nothing was changed")
    confirmed(services)
    journal = services.journal.begin(
        command="repair", context=services.settings.context, argv=services.argv, reason=options.reason
    )
    beyond = f"left: beyond --max {options.limit}"
    results: Results = {
        s.payment_id: Result(s.payment_id, Outcome.LEFT, "not reached" if n < options.limit else beyond, False)
        for n, s in enumerate(plan.changing)
    }
    applying = Applying(
        flow=services.flow,
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        journal=journal,
        now=services.now,
        monotonic=services.monotonic,
        sleep=services.sleep,
        wait=options.wait,
        announce=not options.announce_later,
        progress=services.progress,
        results=results,
    )
    summary = dict(origin or {})
    try:
        # The world may have moved while the question stood there: plan again, and do only what is still the same.
        steps = _still_same(chosen, plan_again(), results)
        with services.bar(len(steps)) as bar, frozen():
            applying.progress = bar.say
            RepairRun(applying, options.rate, bar.advance).run(steps)
            followed = follow(results, _following(options, services, bar.say)) if options.follow else {}
    except BaseException as error:
        code = 6 if any(r.changed for r in results.values()) else 5
        with contextlib.suppress(Exception):
            journal.end(code, {**summary, "outcomes": _counts(results), "cut_short_by": type(error).__name__})
        with contextlib.suppress(Exception):
            show_plan(services, result_view(plan, results, malformed, options, services, code, journal.id))
        if code == 6 and isinstance(error, KcfixError):
            raise PartlyApplied(
                f"the run was cut short: {error.message}", hint="run the same command again: it finds out and finishes"
            ) from error
        raise
    code = applied_code(plan.steps, tuple(results.values()), unknown_ids=unknown_ids)
    took = {"change_seconds": applying.seconds}
    journal.end(code, {**summary, **took, "outcomes": _counts(results)})
    view = result_view(plan, results, malformed, options, services, code, journal.id, warnings, followed)
    return replace(view, summary={**(view.summary or {}), **took})


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """What is there now is left alone by the collector of garbage: a plan of thousands is millions of objects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _following(options: Options, services: Services, say: Callable[[str], None]) -> Following:
    return Following(
        flow=services.flow,
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        wait=options.wait,
        monotonic=services.monotonic,
        sleep=services.sleep,
        progress=say,
    )


def _still_same(chosen: Sequence[Step], fresh: RepairPlan, results: Results) -> list[Step]:
    """The steps to be taken, newly planned; for one that became another, the result says so."""
    now = {s.payment_id: s for s in fresh.steps}
    going = []
    for step in chosen:
        again = now[step.payment_id]
        if _what(again) == _what(step):
            going.append(again)
            continue
        settled = again.verdict.kind is VerdictKind.PURCHASED
        outcome = Outcome.SETTLED if settled else Outcome.CHANGED
        if again.action is Action.UNKNOWN:
            outcome = Outcome.FAILED
        if again.action is step.action:
            text = f"since the plan was made it became another one: {again.why}"
        else:
            text = f"since the plan was made it became {again.verdict.kind}: {again.verdict.reason}"
            text += "" if settled else "; run it again"
        results[step.payment_id] = Result(step.payment_id, outcome, text, False, again.verdict.purchase)
    return going


def _what(step: Step) -> tuple[object, ...]:
    """What a step would do, as far as the operator saw it."""
    return (
        step.action,
        (step.order.student_id, step.order.course_id, step.order.tier) if step.order else None,
        step.replay.event.event_id if step.replay else None,
        step.purchase.id if step.purchase else None,
    )


def _agreed(chosen: Sequence[Step], plan: RepairPlan, options: Options, services: Services) -> bool:
    """Whether a person agrees: with yes to one payment, with their number to several."""
    question = _question(chosen, plan, options)
    if len(chosen) > 1:
        return services.ask_count(question, len(chosen))
    return services.ask(f"{question} Go ahead?")


def _question(chosen: Sequence[Step], plan: RepairPlan, options: Options) -> str:
    counts = ", ".join(f"{n} {action.lower()}" for action, n in sorted(Counter(s.action for s in chosen).items()))
    left = len(plan.changing) - len(chosen)
    rest = f" The {left} newest are left (--max {options.limit})." if left else ""
    return f"Change {len(chosen)} payment{'s' if len(chosen) != 1 else ''}, {money_of(chosen)}: {counts}.{rest}"


def _counts(results: Mapping[PaymentId, Result]) -> dict[str, int]:
    return dict(Counter(str(r.outcome) for r in results.values()))
