"""The next commands after a repair, complete to be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from kcfix.cli.repair_options import Options
from kcfix.cli.window import pasted
from kcfix.core.judging.verdict import OVERDUE, VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.plan import Action, RepairPlan, Step, Strategy
from kcfix.core.repair.result import Outcome, Result
from kcfix.services import Services

TOLD = 20
"""Payments that are named in a command; more are left to files and to `--missing`."""
FEW = 4
"""Payments that are named where `--missing` would do as well."""

_RULINGS = {
    VerdictKind.NO_COURSE: ("--course", "COURSE_ID"),
    VerdictKind.UNKNOWN_COURSE: ("--course", "COURSE_ID"),
    VerdictKind.BAD_TIER: ("--tier", "N"),
}


def next_commands(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    options: Options,
    services: Services,
    *,
    applied: bool,
) -> tuple[str, ...]:
    """The next commands, most pressing first; empty where nothing is left to be done by kcfix."""
    file = options.plan_file or options.applied_plan
    if not applied and file is not None and plan.changing:
        needed = [] if options.reason.strip() else _reason(options, services)  # else the plan has it
        return (shlex.join(["kcfix", "repair", "--apply-plan", file, *needed]),)
    commands: list[str | None] = []
    if not applied and plan.changing:
        commands.append(
            _repair(plan.changing, options, [*_wishes(options, services), "--apply", *_more(plan, options)])
        )
    unfinished = [s for s in plan.changing if applied and results[s.payment_id].outcome is not Outcome.SETTLED]
    if unfinished:
        # What was inserted without Kafka is finished by a plain run, once Kafka is back.
        wishes = [] if options.announce_later else _wishes(options, services)
        commands.append(_repair(unfinished, options, wishes))
    waiting = [s for s in plan.steps if s.action is Action.WAIT and s.verdict.kind is not VerdictKind.IN_FLIGHT]
    if waiting:
        blocked = [s for s in waiting if s.verdict.kind is VerdictKind.BLOCKED]
        if blocked:
            commands.append(f"kcfix offsets --group {services.flow.purchase_group}")
        if len(blocked) < len(waiting):
            commands.append(f"kcfix restart {services.flow.purchase_worker}")
        if len(waiting) <= FEW:
            commands.append(_by_ids(waiting, ["--strategy", "insert"]))
    if any(s.action is Action.UNKNOWN for s in plan.steps):
        commands.append("kcfix status")
    if len(plan.steps) == 1:
        commands.append(_ruled(plan.steps[0], options))
    return tuple(command for command in commands if command is not None)


def _ruled(step: Step, options: Options) -> str | None:
    """What a person has to say of a payment that does not say itself; the value is theirs to fill in."""
    if step.action is not Action.REFUSE or options.course_id is not None or options.tier is not None:
        return None
    missing = _RULINGS.get(step.verdict.kind)
    return None if missing is None else _by_ids([step], [*missing, "--reason", "why"])


def _repair(steps: Sequence[Step], options: Options, more: Sequence[str]) -> str | None:
    """The command for these payments: as they were given where they are many; None where they came through a pipe."""
    if options.missing and len(steps) > FEW:
        return shlex.join(["kcfix", "repair", "--missing", *_window(options), *more])
    if len(steps) <= TOLD:
        return _by_ids(steps, more)
    if options.from_file is not None:
        return shlex.join(["kcfix", "repair", "--from-file", options.from_file, *more])
    return None


def _by_ids(steps: Sequence[Step], more: Sequence[str]) -> str:
    return shlex.join(["kcfix", "repair", *(str(s.payment_id) for s in steps), *more])


def _window(options: Options) -> list[str]:
    """As far as it was named, in times that stay: a window that moves on would leave the oldest behind."""
    found: list[str] = []
    if options.span is not None:
        found += [] if options.since is None else ["--since", pasted(options.span.since)]
        found += [] if options.until is None else ["--until", pasted(options.span.until)]
    if options.overdue != OVERDUE:
        found += ["--older-than", f"{options.overdue.total_seconds():.0f}s"]
    return found


def _wishes(options: Options, services: Services) -> list[str]:
    words: list[str] = []
    if options.strategy is not Strategy.AUTO:
        words += ["--strategy", options.strategy]
    if options.announce_later:
        words.append("--announce-later")
    if options.course_id is not None:
        words += ["--course", options.course_id]
    if options.tier is not None:
        words += ["--tier", str(options.tier)]
    return words + _reason(options, services)


def _reason(options: Options, services: Services) -> list[str]:
    ruled = options.course_id is not None or options.tier is not None
    return ["--reason", options.reason or "why"] if services.settings.protected or ruled else []


def _more(plan: RepairPlan, options: Options) -> list[str]:
    """--max where more than it allows are to be changed, so that the command does what the plan shows."""
    count = len(plan.changing)
    return ["--max", str(count)] if count > options.limit else []
