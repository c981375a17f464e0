"""`kcfix repair --plan FILE` and `--apply-plan FILE`: a plan made now and applied later, or by somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kcfix import __version__
from kcfix.cli.guards import may_change, unguarded
from kcfix.cli.repair_change import change
from kcfix.cli.repair_options import Options
from kcfix.cli.repair_planning import plan_for
from kcfix.cli.repair_view import plan_view
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.repair.codes import dry_run_code
from kcfix.core.repair.plan import Action, RepairPlan, Step
from kcfix.core.repair.plan_file import (
    PlannedFor,
    PlannedStep,
    differences,
    facts_of,
    read_plan,
    system_differences,
    write_plan,
)
from kcfix.core.repair.ruling import Ruling
from kcfix.errors import Refused, Unreachable, UsageError
from kcfix.render.view import View
from kcfix.services import Services


def save(plan: RepairPlan, options: Options, ruling: Ruling | None, services: Services) -> int:
    """Write the steps that change something, the oldest `--max` of them; how many there are in the file.

    Raises:
        UsageError: the file can't be written. Unreachable: the database does not say which it is.
    """
    from kcfix.services.text_file import write_text

    steps = plan.changing[: options.limit]
    text = write_plan(
        steps,
        options.wishes,
        ruling,
        system_of(services),
        created_at=services.now(),
        version=__version__,
        context=services.settings.context,
        reason=options.reason,
    )
    assert options.plan_file is not None  # noqa: S101  only called where one is named
    write_text(options.plan_file, text)
    return len(steps)


def system_of(services: Services) -> PlannedFor:
    """The cluster and the databases of this run. Kafka may be silent: then its cluster is not known.

    Raises:
        Unreachable: the database did not answer.
    """
    try:
        cluster = services.kafka.cluster().cluster_id
    except Unreachable:
        cluster = None
    here, payments = services.database.identity(), services.database.payments_identity()
    return PlannedFor(cluster, here.label, here.system_identifier, payments.label, payments.system_identifier)


def apply_plan(name: str, options: Options, services: Services, *, dry_run: bool, most: int | None) -> View:
    """Do what the plan in the file says, as far as it is what would be planned now; say which fact is another.

    `most`: change at most so many payments; None: as many as the plan has.

    Raises:
        UsageError: no plan that can be read. Refused: it was changed, or is for another system. Nothing was changed.
    """
    from kcfix.services.text_file import read_text

    file = read_plan(read_text(name), name)
    options = replace(
        options,
        apply=not dry_run,
        strategy=file.wishes.strategy,
        announce_later=file.wishes.announce_later,
        overdue=file.wishes.overdue,
        limit=max(1, len(file.steps)) if most is None else most,
        applied_plan=name,
        reason=options.reason or file.reason,
        course_id=file.ruling.course_id if file.ruling else None,
        tier=file.ruling.tier if file.ruling else None,
    )
    if not dry_run and file.ruling is not None and not options.reason.strip():
        raise UsageError(f"{name} holds a person's word (--course, --tier) and no reason for it: give --reason")
    if not dry_run:
        may_change(services, reason=options.reason, yes=options.yes)
    services.progress("reading payments, messages and workers")
    others = system_differences(file.system, system_of(services))
    if others:
        raise Refused(f"{name} was made for another system: {'; '.join(others)}")
    ids = tuple(step.payment_id for step in file.steps)

    def plan_again() -> RepairPlan:
        return _held_against(plan_for(ids, file.wishes, file.ruling, services), file.steps)

    plan = plan_again()
    if dry_run:
        code = dry_run_code(plan.steps, unknown_ids=False, exit_code=options.exit_code)
        return plan_view(plan, (), options, services, code, unguarded(services, plan.steps))
    return change(plan, (), options, services, plan_again, {"plan_sha256": file.sha256})


def _held_against(plan: RepairPlan, file: Sequence[PlannedStep]) -> RepairPlan:
    """The plan with every step that rests on other facts than the file's turned into a refusal that names them."""
    then = {step.payment_id: step for step in file}

    def held(step: Step) -> Step:
        changed = differences(then[step.payment_id].facts, facts_of(step))
        if not changed or step.verdict.kind is VerdictKind.PURCHASED or step.action is Action.UNKNOWN:
            return step
        why = f"since the plan was made: {'; '.join(changed)}"
        return step.refused(why)

    return replace(plan, steps=tuple(held(step) for step in plan.steps))
