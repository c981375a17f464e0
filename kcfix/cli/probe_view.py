"""What a probe would do, how a payment came through, and what it left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from kcfix.cli.probe_follow import follow
from kcfix.cli.probe_plan import Earlier, Plan
from kcfix.cli.trace import story_sources
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import SendResult, SendState
from kcfix.core.probe import arrived, is_probe, left_behind
from kcfix.core.story.payment_story import Story
from kcfix.core.story.read import read_stories
from kcfix.core.story.stages import Stage, StageState, stages
from kcfix.core.times import format_duration, format_time
from kcfix.errors import NOT_WELL, OK, PartlyApplied, Unreachable
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone, View
from kcfix.services import Services

WARNING = "it allocates a trainer and sends notifications like any other payment, and kcfix takes none of that back"
TONES = {StageState.DONE: Tone.GOOD, StageState.MISSING: Tone.BAD, StageState.PASSED: Tone.BAD}


def plan_view(plan: Plan, services: Services, *, apply_with: str | None = None, warnings: Sequence[str] = ()) -> View:
    """The probe that would be made. `apply_with`: the line that makes it, where it is a dry run."""
    order = plan.order
    student = "a student who is made up with it" if order.new_student else f"student {order.student_id}"
    lines: list[Line] = [
        f"would write a payment that succeeded, of 0.01 INR, with an id that begins with {order.payment_id[:11]}:",
        f"of course {order.course_id}, tier {plan.tier}, for {student}",
        f"would send its event to {services.flow.purchase_confirmed}, and follow it to its sessions",
        Cell(WARNING, Tone.WARN),
    ]
    return View(
        schema="probe",
        sections=(Text(tuple(lines), wrap=True), *_earlier(plan, services)),
        data=[],
        summary=_summary("plan", plan=plan),
        warnings=tuple(warnings),
        next=(*_again(plan.earlier), *([apply_with] if apply_with else [])),
        ids=(),
    )


def nothing_view(wait: timedelta) -> View:
    """No payment came."""
    said = f"no payment succeeded within {format_duration(wait)}: nothing was followed"
    return View(
        schema="probe",
        sections=(Text((Cell(said, Tone.WARN),)),),
        data=[],
        summary=_summary("passive"),
        ids=(),
        exit_code=NOT_WELL,
    )


def followed_view(
    id: PaymentId,
    wait: timedelta,
    services: Services,
    *,
    plan: Plan | None = None,
    run_id: str | None = None,
    sent: SendResult | None = None,
    warnings: Sequence[str] = (),
) -> View:
    """Follow the payment for that long, and say how it came through. `plan` None: it is a real one."""
    rejected = sent is not None and sent.state is SendState.REJECTED
    if not rejected:
        follow(id, wait, services, services.progress)
    (story,) = read_stories([id], story_sources(services), overdue=services.settings.overdue)
    through = story.facts is not None and arrived(story.facts)
    rows = stages(story, services.flow)
    left = left_behind(story, student=plan is not None and plan.order.new_student) if plan is not None else ()
    problem = None
    if sent is not None and sent.state is not SendState.ACKNOWLEDGED:
        told = "not taken by the broker" if rejected else "sent and not acknowledged"
        problem = f"its event was {told}: {sent.error or 'no reason given'}"
    if through:
        code = OK
    elif plan is not None:
        code = PartlyApplied.code
    else:
        code = NOT_WELL if story.facts is not None else Unreachable.code
    return View(
        schema="probe",
        sections=(
            Text(tuple(_head(story, through, wait, problem)), wrap=True),
            _table(story, rows, services),
            *_left(left),
            *(_earlier(plan, services) if plan is not None and _again(plan.earlier) else ()),
        ),
        data=[_row(story, stage) for stage in rows],
        summary=_summary(
            "passive" if plan is None else "probe", story=story, through=through, left=left, plan=plan, run_id=run_id
        ),
        warnings=tuple(warnings),
        next=() if through else _for(story),
        ids=(id,),
        exit_code=code,
        changed=plan is not None,
    )


def _for(story: Story) -> tuple[str, ...]:
    return (f"kcfix trace {story.payment_id}", "kcfix doctor")


def _head(story: Story, through: bool, wait: timedelta, problem: str | None) -> Iterator[Line]:
    what = "the probe" if is_probe(story.payment_id) else "payment"
    if through:
        took = _through(story)
        within = f" in {_seconds(took)}" if took is not None else ""
        yield Cell(f"{what} {story.payment_id} came through to its sessions{within}", Tone.GOOD)
    else:
        yield Cell(f"{what} {story.payment_id} has not come through within {format_duration(wait)}", Tone.BAD)
        yield f"{story.verdict.kind}: {story.verdict.reason}"
    if problem is not None:
        yield Cell(problem, Tone.BAD)


def _through(story: Story) -> timedelta | None:
    """From the payment to its first session; None where that time is not recorded."""
    after, payment = story.aftermath.value, story.payment
    times = [m.first for m in after.sessions_made.values() if m.first is not None] if after is not None else []
    return min(times) - payment.paid_at if times and payment is not None else None


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.3f} s" if span < timedelta(minutes=10) else format_duration(span)


def _table(story: Story, rows: Sequence[Stage], services: Services) -> Section:
    if not rows:
        return Text((f"its stages are not known: {story.snapshot.facts.error or 'there is no such payment'}",))
    return Table(
        (
            Column("STAGE"),
            Column("STATE"),
            Column("AFTER", right=True),
            Column("AT", priority=2),
            Column("PROOF", wrap=True, priority=1),
        ),
        tuple(
            (
                stage.name.value,
                Cell(stage.state, TONES.get(stage.state, Tone.WARN)),
                _seconds(after) if (after := _after(story, stage)) is not None else None,
                format_time(stage.at, services.zone) if stage.at is not None else None,
                stage.proof,
            )
            for stage in rows
        ),
        notes=("AFTER counts from the payment, by the clock of whoever recorded it: database, producer or broker.",),
    )


def _after(story: Story, stage: Stage) -> timedelta | None:
    return stage.at - story.payment.paid_at if stage.at is not None and story.payment is not None else None


def _left(left: Sequence[str]) -> tuple[Section, ...]:
    if not left:
        return ()
    said = "kcfix deletes none of this; the ids tell it apart"
    return (Text(tuple(left), "left behind"), Text((Cell(said, Tone.DIM),), wrap=True))


def _earlier(plan: Plan, services: Services) -> tuple[Section, ...]:
    """The probes that did not come through, and how many did."""
    if not plan.earlier:
        return (Text(("no earlier probe is there",)),)
    stuck = [e for e in plan.earlier if not e.settled]
    many = (
        f"{len(plan.earlier)}{'+' if plan.more else ''} earlier probes: {len(plan.earlier) - len(stuck)} came through"
    )
    if not stuck:
        return (Text((many,)),)
    rows = tuple(
        (e.payment.id, format_time(e.payment.paid_at, services.zone), Cell(e.verdict.kind, Tone.BAD), e.verdict.reason)
        for e in stuck
    )
    columns = (Column("PAYMENT"), Column("AT", priority=2), Column("VERDICT"), Column("WHY", wrap=True, priority=1))
    return (Text((f"{many}, {len(stuck)} did not:",)), Table(columns, rows))


def _again(earlier: Sequence[Earlier]) -> tuple[str, ...]:
    return tuple(f"kcfix repair {e.payment.id}" for e in earlier if not e.settled)[:1]


def _row(story: Story, stage: Stage) -> dict[str, object]:
    return {
        "stage": stage.name,
        "state": stage.state,
        "at": stage.at,
        "after_seconds": _after(story, stage),
        "proof": stage.proof,
    }


def _summary(
    mode: str,
    *,
    story: Story | None = None,
    through: bool | None = None,
    left: Sequence[str] = (),
    plan: Plan | None = None,
    run_id: str | None = None,
) -> Mapping[str, object]:
    return {
        "mode": mode,
        "payment_id": story.payment_id if story is not None else None,
        "came_through": through,
        "verdict": story.verdict.kind if story is not None else None,
        "through_seconds": _through(story) if story is not None else None,
        "run_id": run_id,
        "left_behind": list(left),
        "earlier_probes": [
            {"payment_id": e.payment.id, "paid_at": e.payment.paid_at, "verdict": e.verdict.kind}
            for e in (plan.earlier if plan is not None else ())
        ],
    }
