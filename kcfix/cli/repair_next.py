"""The next commands after a repair, complete to be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from kcfix.cli.repair_options import Options
from kcfix.core.payments import PaymentId
from kcfix.core.repair_plan import Action, RepairPlan, Step, Strategy
from kcfix.core.repair_result import Outcome, Result
from kcfix.core.verdict import VerdictKind
from kcfix.services import Services

TOLD = 20
"""Payments that are named in a command, or told of in full; more are left to the table, `-o json` and files."""


def next_commands(
    plan: RepairPlan,
    results: Mapping[PaymentId, Result],
    options: Options,
    services: Services,
    *,
    applied: bool,
) -> tuple[str, ...]:
    """The next commands, most pressing first; empty where nothing is left to be done by kcfix."""
    if not applied and options.plan_file is not None:
        needed = [] if options.reason.strip() else _reason(options, services)  # else the plan has it
        words = ["kcfix", "repair", "--apply-plan", options.plan_file, *needed]
        return (shlex.join(words),) if plan.changing else ()
    commands: list[str | None] = []
    if not applied and plan.changing:
        commands.append(
            _repair(plan.changing, options, [*_wishes(options, services), "--apply", *_more(plan, options)])
        )
    unfinished = [s for s in plan.changing if applied and results[s.payment_id].outcome is not Outcome.SETTLED]
    if unfinished:
        commands.append(_repair(unfinished, options, _wishes(options, services)))
    waiting = [s for s in plan.steps if s.action is Action.WAIT and s.verdict.kind is not VerdictKind.IN_FLIGHT]
    if waiting:
        commands.append(f"kcfix restart {services.flow.purchase_worker}")
        if len(waiting) <= TOLD:
            commands.append(_repair(waiting, options, ["--strategy", "insert", "--apply"]))
    if any(s.action is Action.UNKNOWN for s in plan.steps):
        commands.append("kcfix status")
    return tuple(command for command in commands if command is not None)


def _repair(steps: Sequence[Step], options: Options, more: Sequence[str]) -> str | None:
    """The command for these payments: by their ids, else as they were given; None where they came through a pipe."""
    if len(steps) <= TOLD:
        given = [str(s.payment_id) for s in steps]
    elif options.missing:
        given = ["--missing", *_window(options)]
    elif options.from_file is not None:
        given = ["--from-file", options.from_file]
    else:
        return None
    return shlex.join(["kcfix", "repair", *given, *more])


def _window(options: Options) -> list[str]:
    """As far as it was named, in times that stay: a window that moves on would leave the oldest behind."""
    if options.span is None:
        return []
    found = [] if options.since is None else ["--since", options.span.since.isoformat()]
    return found if options.until is None else [*found, "--until", options.span.until.isoformat()]


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
