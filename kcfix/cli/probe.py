"""`kcfix probe`: one payment through the whole pipe, with the time of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.guards import may_change
from kcfix.cli.probe_follow import next_payment
from kcfix.cli.probe_plan import make_plan
from kcfix.cli.probe_view import followed_view, nothing_view, plan_view
from kcfix.core.payments import TIERS, parse_uuid
from kcfix.core.times import format_duration, parse_duration
from kcfix.errors import Refused, UsageError
from kcfix.render.view import View
from kcfix.services import Services
from kcfix.settings.probing import why_no_probe

WAIT = timedelta(seconds=60)
PASSIVE_WAIT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix probe` was asked."""

    passive: bool = False
    apply: bool = False
    yes: bool = False
    reason: str = ""
    wait: timedelta = WAIT
    student_id: str | None = None
    """None: one is made up."""
    course_id: str | None = None
    """None: the first of the table."""
    tier: int = TIERS[0]


def command(
    ctx: typer.Context,
    passive: Annotated[
        bool, typer.Option("--passive", help="Make nothing up: follow the next payment that really succeeds.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing (this is the default).")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")] = "",
    wait: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long to follow it.", show_default="60s; with --passive 10m"),
    ] = None,
    student: Annotated[
        str, typer.Option("--student", metavar="UUID", help="A student of this system, in place of a made-up one.")
    ] = "",
    course: Annotated[
        str, typer.Option("--course", metavar="UUID", help="What is bought.", show_default="the first course")
    ] = "",
    tier: Annotated[int, typer.Option("--tier", metavar="N", help="10, 20 or 30 sessions.")] = TIERS[0],
) -> View:
    """It writes one payment that succeeded, sends its event, and follows it to the sessions, with each stage's time.

    The payment is made up, and the rest is not: it allocates a trainer and sends notifications like any other, and
    kcfix takes none of it back. So it runs only in a context whose file says `probe = true` (a drill's does), and only
    with --apply. Its id begins with 6b636669-78, by which the next run finds what an earlier one left, whenever that
    was killed. payment-service itself is not tried.

    Elsewhere --passive changes nothing: it waits for the next payment that succeeds, and follows that.

    Exit code: 0 it came through; 1 the payment that was followed did not, or none came; 4 no answer; 5 refused; 6 it
    was made and has not come through in time. A dry run ends with 0.

    Examples:
        kcfix probe --passive
        kcfix probe --passive --wait 1h -o json
        kcfix -C drill probe
        kcfix -C drill probe --apply --yes --reason "after the restart"
    """
    services = services_of(ctx)
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    if passive and (apply or dry_run or yes or reason or student or course):
        raise UsageError("--passive makes nothing up: it goes with --wait alone")
    if tier not in TIERS:
        raise UsageError(f"--tier must be one of {', '.join(map(str, TIERS))}")
    options = Options(
        passive=passive,
        apply=apply,
        yes=yes,
        reason=reason,
        wait=parse_duration(wait) if wait else PASSIVE_WAIT if passive else WAIT,
        student_id=_uuid("--student", student),
        course_id=_uuid("--course", course),
        tier=tier,
    )
    return run_passive(options, services) if passive else run(options, services)


def _uuid(option: str, text: str) -> str | None:
    if not text:
        return None
    found = parse_uuid(text)
    if found is None:
        raise UsageError(f"{option}: {text!r} is no UUID")
    return found


def run(options: Options, services: Services) -> View:
    """Plan, and with `apply` carry it out.

    Raises:
        Refused: no payment may be made up here. Nothing was changed.
    """
    if (why := why_no_probe(services.settings)) is not None:
        raise Refused(why, hint="kcfix probe --passive follows the next payment that really succeeds")
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes)
    plan = make_plan(options.student_id, options.course_id, options.tier, services)
    if options.apply:
        from kcfix.cli.probe_change import change

        return change(plan, options.reason, options.wait, services, yes=options.yes)
    return plan_view(plan, services, apply_with=_words(options))


def _words(options: Options) -> str:
    """The line that does it, with what was chosen."""
    chosen = {"--student": options.student_id, "--course": options.course_id}
    words = [word for name, value in chosen.items() if value is not None for word in (name, value)]
    words += ["--tier", str(options.tier)] if options.tier != TIERS[0] else []
    return " ".join(["kcfix probe", *words, "--apply"])


def run_passive(options: Options, services: Services) -> View:
    """Wait for the next payment, and follow it. Only reads."""
    services.progress(f"waiting up to {format_duration(options.wait)} for the next payment that succeeds")
    begun = services.monotonic()
    payment = next_payment(options.wait, services)
    if payment is None:
        return nothing_view(options.wait)
    left = options.wait - timedelta(seconds=services.monotonic() - begun)
    return followed_view(payment, max(left, timedelta(0)), services)
