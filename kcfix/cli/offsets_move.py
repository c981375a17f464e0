"""Moving committed offsets: plan, show, ask, plan again, commit, show what became of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kcfix.cli.guards import confirmed, may_change, same_system
from kcfix.cli.offsets_view import MoveResults, move_view
from kcfix.cli.preview import show_plan
from kcfix.core.journal import RunRecord
from kcfix.core.move.apply import MoveOutcome, MoveResult, Moving
from kcfix.core.move.committing import offset_text
from kcfix.core.move.journal import COMMAND
from kcfix.core.move.plan import Move, MovePlan
from kcfix.core.move.read import MoveSources, TopicChoice, Wish, names_of_running, read_moves
from kcfix.core.offsets import TopicPartition
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, NotFound, PartlyApplied, Refused, Unreachable, UsageError, worst_code
from kcfix.render.view import View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Options:
    """How it was asked."""

    words: tuple[str, ...]
    """The command as it was given, without --apply, to be shown again."""
    apply: bool = False
    yes: bool = False
    reason: str = ""
    exit_code: bool = False


def choices(words: Iterable[str]) -> tuple[TopicChoice, ...]:
    """Topics as they were written: `T`, or `T:0,2`.

    Raises:
        UsageError: a partition is no number. Nothing was asked.
    """
    return tuple(_choice(word) for word in words)


def _choice(word: str) -> TopicChoice:
    topic, colon, numbers = word.partition(":")
    parts = numbers.split(",") if colon else []
    if not topic or any(not part.isdecimal() or len(part) > 9 for part in parts):
        raise UsageError(f"{word!r} is no topic", hint="write TOPIC, or TOPIC:0,2")
    return TopicChoice(topic, tuple(dict.fromkeys(int(part) for part in parts)))


def change_or_show(wish: Wish, options: Options, services: Services) -> View:
    """The plan; with `apply` what became of it.

    Raises:
        NotFound, Unreachable, Refused: nothing was changed.
    """
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes, by_database=False)
    services.progress("reading the group, its offsets and the messages between old and new ones")
    where = move_sources(services)
    plan = read_moves(wish, where)
    if not options.apply:
        return move_view(plan, options.words, services, dry_run_code(plan, exit_code=options.exit_code))
    return _change(plan, wish, options, services, where)


def dry_run_code(plan: MovePlan, *, exit_code: bool) -> int:
    """docs/decisions.md 5."""
    if plan.unknown:
        return Unreachable.code
    return 1 if exit_code and (plan.refusals or plan.changing) else 0


def move_sources(services: Services) -> MoveSources:
    """Where moves are read from."""
    here = services.settings.context

    def runs() -> list[RunRecord]:
        try:
            return [run for run in services.journal.runs() if run.context == here]
        except Unreachable:  # a journal that can't be read can't be written either, so nothing will be changed
            return []

    return MoveSources(
        flow=services.flow,
        kafka=lambda: services.kafka,
        database=lambda: services.database,
        containers=lambda worker: containers(worker, services),
        runs=runs,
    )


def containers(worker: str, services: Services) -> tuple[Container, ...]:
    """This worker's containers as they are now; those that are gone are left out. Raises Unreachable."""
    found = []
    for box in services.discovery.workers.get(worker, ()):
        with contextlib.suppress(NotFound):
            found.append(services.docker.inspect(box.id))
    return tuple(found)


def _change(plan: MovePlan, wish: Wish, options: Options, services: Services, where: MoveSources) -> View:
    if not plan.changing:
        _close_what_was_cut_short(plan, options, services)
        return move_view(plan, options.words, services, _code(plan, {}), results={})
    warnings = same_system(services)
    show_plan(services, move_view(plan, options.words, services, 0, warnings=warnings, applying=True))
    count = len(plan.changing)
    question = f"Move {count} committed offset{'s' if count != 1 else ''} of group {plan.group.group_id}?"
    if not options.yes and not services.ask(question):
        raise Refused("declined; nothing was changed")
    confirmed(services)
    results: MoveResults = {m.partition: MoveResult(MoveOutcome.LEFT, "not reached") for m in plan.changing}
    # The world may have moved while the question stood there: plan again, and do only what is still the same.
    fresh = read_moves(wish, where)
    going = _still_same(plan, fresh, results)
    journal = services.journal.begin(
        command=COMMAND, context=services.settings.context, argv=services.argv, reason=options.reason
    )
    moving = Moving(
        group=plan.group.group_id,
        target=plan.target.text,
        kafka=lambda: services.kafka,
        running=_look(plan, services),
        journal=journal,
        results=results,
    )
    summary = {"group": plan.group.group_id}
    try:
        moving.do(going)
    except BaseException as error:
        code = PartlyApplied.code if any(r.changed for r in results.values()) else Refused.code
        with contextlib.suppress(Exception):
            journal.end(code, {**summary, "outcomes": _counts(results), "cut_short_by": type(error).__name__})
        with contextlib.suppress(Exception):
            show_plan(services, move_view(plan, options.words, services, code, results=results, run_id=journal.id))
        if code == PartlyApplied.code and isinstance(error, KcfixError):
            raise PartlyApplied(
                f"cut short: {error.message}", hint="the same command finds out and finishes"
            ) from error
        raise
    code = _code(plan, results)
    journal.end(code, {**summary, "outcomes": _counts(results)})
    return move_view(
        plan,
        options.words,
        services,
        code,
        results=results,
        run_id=journal.id,
        warnings=(*warnings, *journal.problems),
    )


def _close_what_was_cut_short(plan: MovePlan, options: Options, services: Services) -> None:
    """All stands as it is to: a run of the same that was cut short is done, and the next shift begins anew."""
    if plan.halted and not plan.refusals and not plan.unknown:
        journal = services.journal.begin(
            command=COMMAND, context=services.settings.context, argv=services.argv, reason=options.reason
        )
        journal.end(0, {"group": plan.group.group_id, "outcomes": {}})


def _look(plan: MovePlan, services: Services) -> Callable[[], tuple[str, ...] | None]:
    def look() -> tuple[str, ...] | None:
        if not plan.stage.worker:
            return None
        try:
            return names_of_running(containers(plan.stage.worker, services))
        except KcfixError:
            return None

    return look


def _still_same(plan: MovePlan, fresh: MovePlan, results: MoveResults) -> list[Move]:
    """The moves as planned now; for one that became another, the result says so."""
    now = {m.partition: m for m in fresh.moves}
    going = []
    for move in plan.changing:
        again = now.get(move.partition)
        if fresh.refusals:
            result = MoveResult(MoveOutcome.REFUSED, fresh.refusals[0].reason)
        elif fresh.unknown or again is None:
            # What falls silent under the question is no refusal: nothing was said about the world.
            result = MoveResult(MoveOutcome.FAILED, fresh.unknown[0] if fresh.unknown else "it is no longer there")
        elif again.changes and again.commit == move.commit:
            going.append(again)
            continue
        elif again.place.offset == move.commit.offset and not again.changes:
            result = MoveResult(MoveOutcome.MOVED, "somebody committed the same meanwhile")
        else:
            became = f"{offset_text(again.lag.committed_offset)} → {offset_text(again.place.offset)}"
            result = MoveResult(MoveOutcome.REFUSED, f"since the plan was made it became {became}")
        results[move.partition] = result
    return going


def _code(plan: MovePlan, results: Mapping[TopicPartition, MoveResult]) -> int:
    """docs/decisions.md 5."""
    if plan.unknown:
        return Unreachable.code
    if plan.refusals:
        return Refused.code
    if all(r.outcome is MoveOutcome.MOVED for r in results.values()):
        return 0
    if any(r.changed for r in results.values()):
        return PartlyApplied.code
    silent = any(r.outcome is MoveOutcome.FAILED for r in results.values())
    return worst_code([Unreachable.code if silent else Refused.code])


def _counts(results: Mapping[TopicPartition, MoveResult]) -> dict[str, int]:
    return dict(Counter(str(r.outcome) for r in results.values()))
