"""`kcfix undo`: what of a run can be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from kcfix.cli.completing import complete_run
from kcfix.cli.context import services_of
from kcfix.cli.guards import may_change
from kcfix.cli.undo_view import Undo, undo_view
from kcfix.core.journal import RunRecord, find_run
from kcfix.core.undo.codes import dry_run_code
from kcfix.core.undo.plan import plan_undo
from kcfix.core.undo.read import UndoSources, read_undo
from kcfix.errors import Refused, UsageError
from kcfix.render.view import View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked."""

    run: str
    """A run's id, or its beginning."""
    apply: bool = False
    yes: bool = False
    reason: str = ""
    exit_code: bool = False


def command(
    ctx: typer.Context,
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's id, or as much of its beginning as is unique; see history.",
            autocompletion=complete_run,
        ),
    ],
    apply: Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing (this is the default).")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Dry run: exit with 1 if something is to be undone or can't be.")
    ] = False,
) -> View:
    """It reads the run's journal and, step by step from the last one back, what has become of each.

    A purchase that the run inserted is deleted while nothing has announced it and it is as it was left; an offset that
    the run committed is put back while its worker stands still. A message that was sent (an announcement, a replayed
    event) can't be called back. All else is left alone, and the plan says why.

    Examples:
        kcfix undo 20260115T120000Z-3fa91c
        kcfix undo 20260115T120000Z-3fa91c --apply --reason "wrong payments"
    """
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    return run(Options(run_id, apply, yes, reason, exit_code), services_of(ctx))


def run(options: Options, services: Services) -> View:
    """Plan, and with `apply` carry it out.

    Raises:
        NotFound: no run has that id, or several begin so.
        Refused: the run was made in another context. Nothing was changed.
    """
    runs = services.journal.runs()
    record = find_run(runs, options.run)
    _same_context(record, services)
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes)
    undo = plan(record, runs, services)
    if options.apply:
        from kcfix.cli.undo_change import change

        return change(undo, options, services)
    return undo_view(undo, services, dry_run_code(undo.steps, exit_code=options.exit_code))


def plan(record: RunRecord, runs: tuple[RunRecord, ...], services: Services) -> Undo:
    """What can be undone of the run, as the world is now."""
    services.progress("reading what became of the run")

    def running(worker: str) -> tuple[str, ...]:
        return tuple(c.name for c in services.discovery.workers.get(worker, ()) if c.running)

    where = UndoSources(
        flow=services.flow,
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        running=running,
        now=services.now,
    )
    return Undo(record, plan_undo(record, read_undo(record, runs, where)))


def _same_context(record: RunRecord, services: Services) -> None:
    here = services.settings.context
    if record.context and record.context != here:
        raise Refused(
            f"run {record.id} was made in context {record.context}, and this is {here}",
            hint=f"kcfix -C {record.context} undo {record.id}",
        )
