"""The changing half of `kcfix restart`: guard, show, ask, look again, do, show what became of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kcfix.cli.guards import confirmed, may_change, same_system
from kcfix.cli.preview import show_plan
from kcfix.cli.restart_result import result_view
from kcfix.cli.restart_view import plan_view
from kcfix.core.journal import Run
from kcfix.core.restart.apply import Applying
from kcfix.core.restart.plan import Plan, Way
from kcfix.core.restart.report import Report, exit_code
from kcfix.errors import Conflict, PartlyApplied, Refused
from kcfix.render.view import View
from kcfix.services import Services

if TYPE_CHECKING:
    from kcfix.cli.restart import Options


def change(reports: Sequence[Report], options: Options, services: Services) -> View:
    """Do what is planned, one worker after the other in the order of the flow; one that fails stops no other.

    Raises:
        Refused: nothing was changed.
    """
    from kcfix.cli.restart import read_plans, wanted

    may_change(services, reason=options.reason, yes=options.yes, by_database=False)
    warnings = same_system(services)
    show_plan(services, plan_view(reports, services, 0))
    if not options.yes and not services.ask(_question([r.plan for r in reports if wanted(r.plan, options)])):
        raise Refused("declined; nothing was changed")
    if confirmed(services) or not options.yes:
        # The world may have moved while the question stood there.
        _look_again(reports, read_plans(options, services))
    journal = services.journal.begin(
        command="restart", context=services.settings.context, argv=services.argv, reason=options.reason
    )
    try:
        for report in reports:
            if report.error is None and wanted(report.plan, options):
                _applying(report, options, services, journal).run()
    except BaseException as error:
        # Whatever ends the run, the operator must learn what was done, and above all what stands still now.
        with contextlib.suppress(Exception):
            journal.end(PartlyApplied.code, {"outcomes": _outcomes(reports), "cut_short_by": type(error).__name__})
        with contextlib.suppress(Exception):
            show_plan(services, result_view(reports, services, PartlyApplied.code, run_id=journal.id, cut_short=True))
        raise
    code = exit_code(reports)
    journal.end(code, {"outcomes": _outcomes(reports)})
    return result_view(reports, services, code, run_id=journal.id, warnings=(*warnings, *journal.problems))


def _applying(report: Report, options: Options, services: Services, journal: Run) -> Applying:
    return Applying(
        report=report,
        docker=lambda: services.docker,
        kafka=lambda: services.kafka,
        database=lambda: services.database,
        journal=journal,
        now=services.now,
        monotonic=services.monotonic,
        sleep=services.sleep,
        progress=services.progress,
        wait=options.wait,
    )


def _look_again(reports: Sequence[Report], fresh: Sequence[Plan]) -> None:
    """Take the plans as of now; where one became another thing than was agreed to, nothing is done about it."""
    for report, plan in zip(reports, fresh, strict=True):
        agreed, report.plan = report.plan, plan
        same = (agreed.way, agreed.loss, agreed.refusal is None) == (plan.way, plan.loss, plan.refusal is None)
        if not same and agreed.refusal is None:
            why = plan.refusal.reason if plan.refusal else f"it would be {plan.way} now, not {agreed.way}"
            report.error = Conflict(f"since the question was asked {plan.stage.worker} changed: {why}")
            report.text = report.error.message


def _question(plans: Sequence[Plan]) -> str:
    restarting = [p.stage.worker for p in plans if p.way not in (Way.MISSING, Way.ELSEWHERE)]
    pinning = [p.stage.worker for p in plans if p.way in (Way.MISSING, Way.ELSEWHERE)]
    parts = [f"Restart {', '.join(restarting)}"] if restarting else []
    parts += [f"{'set' if restarting else 'Set'} offsets for {', '.join(pinning)}"] if pinning else []
    loss = " although messages are skipped for good" if any(p.loss for p in plans) else ""
    return f"{' and '.join(parts)}{loss}?"


def _outcomes(reports: Sequence[Report]) -> dict[str, str]:
    return {r.worker: str(r.outcome) for r in reports}
