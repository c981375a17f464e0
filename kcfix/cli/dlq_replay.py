"""`kcfix dlq replay`: plan, and with --apply guard, show, ask, send, watch, show what became of it."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from kcfix.cli.dlq_list import the_cause
from kcfix.cli.dlq_reading import Looked, Window, looked, named
from kcfix.cli.dlq_replay_view import Replay, replay_view
from kcfix.cli.guards import confirmed, may_change, same_system
from kcfix.cli.preview import show_plan
from kcfix.core.dlq.apply import Replaying
from kcfix.core.dlq.letter import DlqState
from kcfix.core.dlq.plan import MAX_REPLAYS, DlqPlan, DlqStep, Planner, not_found
from kcfix.core.dlq.read import stage_of
from kcfix.core.dlq.result import DlqOutcome, DlqResult, Results, applied_code, dry_run_code
from kcfix.core.dlq.unfinished import COMMAND, cut_short, what_became
from kcfix.core.move.settlement import is_checked
from kcfix.errors import KcfixError, PartlyApplied, Refused, UsageError
from kcfix.render.view import View
from kcfix.services import Services

SLOWEST = 0.001
"""Messages a second: less is no rate but a typing error."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked."""

    words: tuple[str, ...] = ()
    cause: str | None = None
    span: Window = field(default_factory=Window)
    apply: bool = False
    yes: bool = False
    limit: int = 100
    rate: float | None = None
    wait: timedelta = timedelta(seconds=30)
    max_replays: int = MAX_REPLAYS
    reason: str = ""
    exit_code: bool = False

    @property
    def again(self) -> list[str]:
        """The words that choose the same messages, for the next command."""
        words = list(self.words) or [*(["--cause", self.cause] if self.cause else []), *self.span.words]
        if self.max_replays != MAX_REPLAYS:
            words += ["--max-replays", str(self.max_replays)]
        return words


def check(options: Options) -> Options:
    """The options, if they go together.

    Raises:
        UsageError: they do not. Nothing was asked.
    """
    selected = options.cause is not None or options.span != Window()
    if options.words and selected:
        raise UsageError("messages are given by name, or by --cause, --since and --until: one of them")
    if not options.words and not selected:
        raise UsageError("nothing was named", hint="kcfix dlq replay --cause CAUSE; kcfix dlq list has the causes")
    if options.rate is not None and not SLOWEST <= options.rate < math.inf:
        raise UsageError(f"--rate must be a number of messages a second from {SLOWEST} up")
    return options


def run(options: Options, services: Services) -> View:
    """Plan, and with `apply` carry it out.

    Raises:
        Refused: which messages are parked is not known, or the run may not change anything. Nothing was sent.
    """
    if options.apply:
        may_change(services, reason=options.reason, yes=options.yes)
    with looked(services, options.span) as found:
        if found.parked.problems:
            raise Refused(f"which messages are parked is not known: {found.parked.problems[0]}")
        planner = Planner(services.flow, lambda: services.kafka, found.store, found.judge, options.max_replays)
        plan = _plan(options, found, planner, services)
        replay = Replay(plan, options.again, warnings=_unfinished(found, services), problems=found.problems)
        if options.apply:
            return _change(replay, options, found, planner, services)
        code = dry_run_code(plan, unread=found.unread, exit_code=options.exit_code)
        return replay_view(replay, code)


def _plan(options: Options, found: Looked, planner: Planner, services: Services) -> DlqPlan:
    if options.words:
        chosen = named(options.words, found, services)
        why = "no dead letter is about it" + (" in what could be read" if found.mailbox.failed else "")
        missing = [not_found(word, why, unread=bool(found.mailbox.failed)) for word in chosen.missing]
        return planner.named(chosen.originals, missing, options.limit)
    cause = the_cause(options.cause, found) if options.cause is not None else None
    candidates = found.store.messages(cause=cause, states=[DlqState.UNSETTLED], oldest_first=True)
    return planner.selection(candidates, options.limit, _left(found, cause, services))


def _left(found: Looked, cause: str | None, services: Services) -> dict[DlqState, int]:
    """The messages of a selection that are no candidates, by how they stand.

    What can't be checked is replayed only by name, so it is no part of a selection.
    """
    left: Counter[DlqState] = Counter()
    for topic in found.store.topics():
        stage = stage_of(services.flow, topic)
        states = found.store.counts(topic, cause).states
        unchecked = stage is None or not is_checked(stage)
        left.update({s: n for s, n in states.items() if not (unchecked and s is DlqState.UNKNOWN)})
    del left[DlqState.UNSETTLED]
    return dict(left)


def _unfinished(found: Looked, services: Services) -> tuple[str, ...]:
    try:
        run = cut_short(services.journal.runs(), services.settings.context)
    except KcfixError as error:
        return (f"whether an earlier replay was cut short is not known: {error.message}",)
    return (what_became(run, found.store),) if run is not None else ()


def _change(replay: Replay, options: Options, found: Looked, planner: Planner, services: Services) -> View:
    """Carry out the plan.

    Raises:
        Refused: nothing was sent. PartlyApplied: something was, and the run could not go on.
    """
    plan, sending = replay.plan, replay.plan.sending
    if not sending:
        return replay_view(replay.ended({}, None), applied_code(plan, (), unread=found.unread))
    replay = replay.warned(same_system(services))
    show_plan(services, replay_view(replay.shown_before(), 0))
    if not options.yes and not _agreed(sending, plan, services):
        raise Refused("declined; nothing was changed")
    confirmed(services)
    journal = services.journal.begin(
        command=COMMAND, context=services.settings.context, argv=services.argv, reason=options.reason
    )
    results: Results = {s.name: DlqResult(DlqOutcome.LEFT, "not reached", changed=False) for s in sending}
    replaying = Replaying(
        kafka=lambda: services.kafka,
        planner=planner,
        mailbox=found.mailbox,
        parked=lambda: services.parking.read(found.cluster_id),
        journal=journal,
        monotonic=services.monotonic,
        sleep=services.sleep,
        wait=options.wait,
        results=results,
        rate=options.rate,
    )
    try:
        with services.bar(len(sending)) as bar:
            replaying.progress, replaying.done = bar.say, bar.advance
            replaying.run(sending)
    except BaseException as error:
        code = 6 if any(r.changed for r in results.values()) else 5
        with contextlib.suppress(Exception):
            journal.end(code, {"outcomes": _counts(results), "cut_short_by": type(error).__name__})
        with contextlib.suppress(Exception):
            show_plan(services, replay_view(replay.ended(results, journal.id), code))
        if code == 6 and isinstance(error, KcfixError):
            raise PartlyApplied(
                f"the replay was cut short: {error.message}",
                hint="run the same command again: it finds out and finishes",
            ) from error
        raise
    code = applied_code(plan, tuple(results.values()), unread=found.unread)
    journal.end(code, {"outcomes": _counts(results)})
    return replay_view(replay.ended(results, journal.id), code)


def _agreed(sending: Sequence[DlqStep], plan: DlqPlan, services: Services) -> bool:
    """Whether a person agrees: with yes to one message, with their number to several."""
    workers = ", ".join(
        f"{n} to {worker}" for worker, n in Counter(s.stage.worker for s in sending if s.stage is not None).items()
    )
    rest = f" {plan.beyond} are left (--max)." if plan.beyond else ""
    question = f"Replay {len(sending)} message{'s' if len(sending) != 1 else ''}: {workers}.{rest}"
    return services.ask_count(question, len(sending)) if len(sending) > 1 else services.ask(f"{question} Go ahead?")


def _counts(results: Results) -> dict[str, int]:
    return dict(Counter(str(r.outcome) for r in results.values()))
