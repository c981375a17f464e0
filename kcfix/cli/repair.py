"""`kcfix repair`: the missing purchases of payments that succeeded."""

from __future__ import annotations

from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.guards import may_change, unguarded
from kcfix.cli.repair_options import Options
from kcfix.cli.repair_view import plan_view
from kcfix.core.gather import Sources, WorkerContainers, payment_snapshots
from kcfix.core.ids import GivenIds, parse_ids
from kcfix.core.repair_codes import dry_run_code
from kcfix.core.repair_plan import RepairPlan, Strategy, plan_repair
from kcfix.core.times import parse_duration
from kcfix.core.worker_lines import newest_lines
from kcfix.errors import UsageError
from kcfix.render.view import View
from kcfix.services import Services


def command(
    ctx: typer.Context,
    payment_ids: Annotated[
        list[str] | None, typer.Argument(metavar="PAYMENT_ID", help="Payments to look at; `-` reads standard input.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing (this is the default).")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")
    ] = False,
    strategy: Annotated[
        Strategy,
        typer.Option(help="replay sends the event again, insert writes the purchase; auto decides by payment."),
    ] = Strategy.AUTO,
    announce_later: Annotated[
        bool, typer.Option("--announce-later", help="With --strategy insert: insert although Kafka does not answer.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--max", min=1, metavar="N", help="Change at most so many payments, the oldest first.")
    ] = 100,
    wait: Annotated[
        str, typer.Option(metavar="SPAN", help="How long to watch for the purchase after a replay.")
    ] = "30s",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="SPAN", help="Leave younger payments alone.", show_default="1m")
    ] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Dry run: exit with 1 if there is something to do or to decide.")
    ] = False,
) -> View:
    """It reads each payment, its purchase, its message and the worker, and says what is the case and what it would do.

    With --apply it does that, checks every precondition again inside the change, and reads back what became of it.
    Running it twice changes nothing the second time.

    Examples:
        kcfix repair 00000000-0000-4000-8000-000000000001
        kcfix repair 00000000-0000-4000-8000-000000000001 --apply
        kcfix status -q | kcfix repair -
        kcfix status -q | kcfix repair - --apply --yes --reason "worker was down"
    """
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    if announce_later and strategy is not Strategy.INSERT:
        raise UsageError("--announce-later goes with --strategy insert")
    services = services_of(ctx)
    options = Options(
        ids=tuple(payment_ids or ()),
        apply=apply,
        yes=yes,
        strategy=strategy,
        announce_later=announce_later,
        limit=limit,
        wait=parse_duration(wait),
        reason=reason,
        exit_code=exit_code,
        overdue=parse_duration(older_than) if older_than else services.settings.overdue,
    )
    return run(options, services)


def run(options: Options, services: Services) -> View:
    """Plan, and with `apply` carry it out."""
    given = _given(options, services)
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes)
    services.progress("reading payments, messages and workers")
    plan = _plan(given, options, services)
    if not options.apply:
        code = dry_run_code(plan.steps, unknown_ids=bool(given.malformed), exit_code=options.exit_code)
        return plan_view(plan, given.malformed, options, services, code, unguarded(services, plan.steps))
    from kcfix.cli.repair_change import change

    return change(plan, given.malformed, options, services, lambda: _plan(given, options, services))


def _given(options: Options, services: Services) -> GivenIds:
    words = [word for word in options.ids if word != "-"]
    if "-" in options.ids:
        words += services.stdin.read().split("\n")
    elif not words:
        raise UsageError(
            "no payment id was given", hint="kcfix repair PAYMENT_ID, or `kcfix status -q | kcfix repair -`"
        )
    return parse_ids(words)


def sources(services: Services) -> Sources:
    """Where a payment's story is read, by the services of this run."""

    def containers() -> WorkerContainers:
        found = services.discovery.workers.get(services.flow.purchase_worker, ())
        return WorkerContainers(found, newest_lines(services.docker, found))

    return Sources(
        flow=services.flow,
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        purchase_containers=containers,
        now=services.now,
    )


def _plan(given: GivenIds, options: Options, services: Services) -> RepairPlan:
    return plan_repair(payment_snapshots(given.valid, sources(services)), options.wishes, services.flow)
