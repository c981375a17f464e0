"""`kcfix repair`: the missing purchases of payments that succeeded."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.guards import may_change, unguarded
from kcfix.cli.repair_options import MOST, WAIT, Options, check, checked_course, checked_tier
from kcfix.cli.repair_planning import given_ids, plan_for
from kcfix.cli.repair_view import plan_view
from kcfix.cli.window import SINCE, window
from kcfix.core.repair.codes import dry_run_code
from kcfix.core.repair.plan import RepairPlan, Strategy, Wishes
from kcfix.core.times import parse_duration
from kcfix.errors import UsageError
from kcfix.render.view import View
from kcfix.services import Services

SLOWEST = 0.001
"""Payments a second: less is no rate but a typing error."""


def command(
    ctx: typer.Context,
    payment_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PAYMENT_ID]...", help="Payments to look at; `-` reads standard input."),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="FILE", help="Take the payments from this file.")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Take all payments that `kcfix missing` finds, but acknowledged ones.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="With --missing: paid since then.", show_default="24h")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="With --missing: paid before then.", show_default="now")
    ] = "",
    apply: Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing (this is the default).")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")
    ] = False,
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="replay sends the event again, insert writes the purchase, announce sends PURCHASE_CREATED again for "
            "one without trainer; auto decides by payment."
        ),
    ] = Strategy.AUTO,
    announce_later: Annotated[
        bool, typer.Option("--announce-later", help="With --strategy insert: insert although Kafka does not answer.")
    ] = False,
    course: Annotated[
        str, typer.Option("--course", metavar="UUID", help="The course of the one payment, which names none itself.")
    ] = "",
    tier: Annotated[
        int | None, typer.Option("--tier", metavar="N", help="The tier (10, 20, 30) of the one payment, likewise.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--max",
            min=1,
            metavar="N",
            help="Change at most so many payments, the oldest first.",
            show_default=f"{MOST}; with --apply-plan all of the plan",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", help="Change at most so many payments a second.")
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="How long to watch for the purchase after a replay, of many from the last one seen on (30s by "
            "itself). Named, what was settled is also followed to its allocation and sessions.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="SPAN", help="Leave younger payments alone.", show_default="1m")
    ] = "",
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="FILE", help="Write the plan to this file; nothing is changed.")
    ] = None,
    apply_plan: Annotated[
        str | None, typer.Option("--apply-plan", metavar="FILE", help="Do what the plan in this file says, no more.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Dry run: exit with 1 if there is something to do or to decide.")
    ] = False,
) -> View:
    """It reads each payment, its purchase, its message and the worker, and says what is the case and what it would do.

    With --apply it does that, checks every precondition again inside the change, and reads back what became of it. The
    first payment goes alone, as a canary; the first one that does not read back as settled stops the run. Running it
    twice changes nothing the second time.

    A plan file is applied only as far as nothing that it rests on has changed since; what has is named and left alone.

    Examples:
        kcfix repair 00000000-0000-4000-8000-000000000001
        kcfix repair 00000000-0000-4000-8000-000000000001 --apply
        kcfix repair --missing --since 24h
        kcfix repair --missing --since 24h --apply --max 500 --rate 20 --reason "worker was down"
        kcfix repair --from-file ids.txt --plan night.json
        kcfix repair --apply-plan night.json
        kcfix repair 00000000-0000-4000-8000-000000000001 --tier 20 --reason "asked the customer" --apply
        kcfix missing -q | kcfix repair -
    """
    services = services_of(ctx)
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    if rate is not None and not SLOWEST <= rate < math.inf:
        raise UsageError(f"--rate must be a number of payments a second from {SLOWEST} up")
    options = check(
        Options(
            ids=tuple(payment_ids or ()),
            from_file=from_file,
            missing=missing,
            since=since or None,
            until=until or None,
            apply=apply,
            yes=yes,
            strategy=strategy,
            announce_later=announce_later,
            course_id=checked_course(course),
            tier=checked_tier(tier),
            limit=MOST if limit is None else limit,
            rate=rate,
            wait=WAIT if wait is None else parse_duration(wait),
            follow=wait is not None,
            reason=reason,
            exit_code=exit_code,
            overdue=parse_duration(older_than) if older_than else services.settings.overdue,
            plan_file=plan,
        )
    )
    if apply_plan is None:
        return run(options, services)
    if options.ids or options.from_file is not None or options.missing or options.plan_file is not None:
        raise UsageError("--apply-plan takes its payments from the plan")
    if older_than or options.wishes != Wishes(overdue=options.overdue) or course or tier is not None:
        raise UsageError("--strategy, --announce-later, --course, --tier and --older-than are as the plan has them")
    from kcfix.cli.repair_plan_file import apply_plan as from_plan

    return from_plan(apply_plan, options, services, dry_run=dry_run, most=limit)


def run(options: Options, services: Services) -> View:
    """Plan, and with `apply` carry it out."""
    if options.missing:
        span = window(options.since or SINCE, options.until, options.overdue, services)
        options = replace(options, span=span)
    given = given_ids(options, services)
    ids = given.valid
    ruling = options.ruling(ids[0]) if len(ids) == 1 else None
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes)
    services.progress("reading payments, messages and workers")

    def plan_again() -> RepairPlan:
        return plan_for(ids, options.wishes, ruling, services)

    plan = plan_again()
    if options.apply:
        from kcfix.cli.repair_change import change

        return change(plan, given.malformed, options, services, plan_again)
    saved = None
    if options.plan_file is not None:
        from kcfix.cli.repair_plan_file import save

        saved = save(plan, options, ruling, services)
    code = dry_run_code(plan.steps, unknown_ids=bool(given.malformed), exit_code=options.exit_code)
    return plan_view(plan, given.malformed, options, services, code, unguarded(services, plan.steps), saved)
