"""`kcfix dlq list`: dead letters by cause, or message by message."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from kcfix.cli.dlq_reading import Looked, Window, looked
from kcfix.cli.dlq_rows import cause_row, message_row, summary
from kcfix.core.dlq.letter import DlqState, Original
from kcfix.core.dlq.store import Cause, Counts
from kcfix.core.times import format_time
from kcfix.errors import NOT_WELL, OK, NotFound, Unreachable
from kcfix.render.style import Format
from kcfix.render.view import Cell, Column, Line, Table, Tone, View
from kcfix.services import Services

SHOWN = 200
"""Rows at most on a terminal."""
OPEN = tuple(state for state in DlqState if state not in (DlqState.SETTLED, DlqState.PARKED))
"""What is shown of a cause without --all."""
TONES = {DlqState.SETTLED: Tone.GOOD, DlqState.PARKED: Tone.DIM, DlqState.WAITING: Tone.WARN}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked."""

    cause: str | None = None
    topic: str | None = None
    everything: bool = False
    span: Window = field(default_factory=Window)

    @property
    def messages(self) -> bool:
        """Whether message by message, not by cause."""
        return self.everything or self.cause is not None


def run(options: Options, services: Services) -> View | int:
    """Read, judge and show; message by message in constant memory with -q and -o jsonl."""
    style = services.style()
    with looked(services, options.span) as found:
        cause = the_cause(options.cause, found) if options.cause is not None else None
        counts = found.store.counts(options.topic, cause)
        code = Unreachable.code if found.unread else NOT_WELL if counts.owed else OK
        if style.quiet and style.format in (Format.TABLE, Format.PLAIN, Format.MARKDOWN):
            return _ids(found, options, cause, code, services)
        if not options.messages:
            return _causes_view(found, options, counts, code, services)
        if style.format is Format.JSONL:
            return _stream(found, options, cause, counts, code, services)
        return _messages_view(found, options, cause, counts, code, services)


def the_cause(wish: str, found: Looked) -> str:
    """The cause of that code, or the only one whose code begins or ends so.

    Raises:
        NotFound: there is none, or there are several. Unreachable: nor could all dead letters be read.
    """
    codes = [cause.code for cause in found.store.causes()]
    if wish in codes:
        return wish
    alike = [code for code in codes if code.startswith(wish) or code.endswith(wish)] if wish else []
    if len(alike) == 1:
        return alike[0]
    if found.mailbox.failed:
        raise Unreachable(f"no cause {wish!r} among the dead letters that could be read")
    several = f"; {len(alike)} are alike: {', '.join(alike[:5])}" if alike else ""
    raise NotFound(f"no dead letter has the cause {wish!r}{several}", hint="kcfix dlq list")


def _warned(found: Looked, services: Services) -> None:
    for text in (*found.parked.problems, *(p.message for p in found.problems)):
        services.warn(text)


def _ids(found: Looked, options: Options, cause: str | None, code: int, services: Services) -> int:
    _warned(found, services)
    with services.stream("dlq-messages") as out:
        for payment in found.store.owed_payments(options.topic, cause):
            out.write(payment)
    return code


def _stream(found: Looked, options: Options, cause: str | None, counts: Counts, code: int, services: Services) -> int:
    _warned(found, services)
    with services.stream("dlq-messages") as out:
        for original in _wanted(found, options, cause):
            out.write("", message_row(original, services.flow))
        out.write("", {"summary": summary(found, options.span, counts)})
    return code


def _wanted(found: Looked, options: Options, cause: str | None) -> Iterator[Original]:
    states = None if options.everything else OPEN
    return found.store.messages(cause=cause, topic=options.topic, states=states)


def _causes_view(found: Looked, options: Options, counts: Counts, code: int, services: Services) -> View:
    causes = found.store.causes(options.topic)
    columns = (
        Column("CAUSE"),
        Column("TOPIC", priority=4),
        Column("MESSAGES", right=True),
        Column("UNSETTLED", right=True),
        Column("SETTLED", right=True, priority=3),
        Column("PARKED", right=True, priority=6),
        Column("LETTERS", right=True, priority=2),
        Column("OLDEST", priority=7),
        Column("NEWEST", priority=1),
        Column("EXAMPLE", priority=5),
        Column("REASON", priority=2, wrap=True),
    )
    rows = tuple(
        (
            c.code,
            c.topic,
            c.messages,
            Cell(str(c.owed), Tone.BAD if c.owed else Tone.GOOD),
            c.states.get(DlqState.SETTLED, 0),
            c.states.get(DlqState.PARKED, 0),
            c.letters,
            format_time(c.first_at, services.zone),
            format_time(c.last_at, services.zone),
            c.example.payment_id or str(c.example.place),
            c.example.reason,
        )
        for c in causes[:SHOWN]
    )
    more: tuple[Line, ...] = (f"… {len(causes) - SHOWN} more causes: -o json",) if len(causes) > SHOWN else ()
    table = Table(columns, rows, _title(options), (*more, *totals(found, counts)), empty="no dead letters")
    return View(
        schema="dlq",
        sections=(table,),
        data=[cause_row(c, services.flow) for c in causes],
        summary=summary(found, options.span, counts),
        warnings=found.parked.problems,
        errors=found.problems,
        next=_next(causes, options),
        exit_code=code,
    )


def _messages_view(
    found: Looked, options: Options, cause: str | None, counts: Counts, code: int, services: Services
) -> View:
    limit = SHOWN if services.style().format is Format.TABLE else None
    kept = tuple(islice(_wanted(found, options, cause), limit))
    columns = (
        Column("MESSAGE"),
        Column("STATE"),
        Column("PAYMENT"),
        Column("LETTERS", right=True, priority=3),
        Column("NEWEST", priority=2),
        Column("CAUSE", priority=4),
        Column("WHY", priority=1, wrap=True),
    )
    rows = tuple(
        (
            str(o.place),
            Cell(o.state, TONES.get(o.state, Tone.BAD)),
            o.payment_id,
            o.letters,
            format_time(o.last_at, services.zone),
            o.cause,
            o.judged.why if o.judged else None,
        )
        for o in kept
    )
    shown = OPEN if not options.everything else tuple(DlqState)
    left = sum(counts.states.get(state, 0) for state in shown) - len(kept)
    more: tuple[Line, ...] = (f"… {left} more: -o jsonl shows all",) if left > 0 else ()
    table = Table(columns, rows, _title(options), (*more, *totals(found, counts)), empty="none that is not settled")
    return View(
        schema="dlq-messages",
        sections=(table,),
        data=[message_row(o, services.flow) for o in kept],
        summary=summary(found, options.span, counts),
        warnings=found.parked.problems,
        errors=found.problems,
        next=_message_next(kept, cause, options),
        exit_code=code,
    )


def _title(options: Options) -> str:
    words = [f"cause {options.cause}"] if options.cause else []
    words += [f"of {options.topic}"] if options.topic else []
    return " ".join(["dead letters", *words, *options.span.words])


def totals(found: Looked, counts: Counts) -> tuple[Line, ...]:
    """The sums, in words."""
    by_state = ", ".join(f"{n} {state}" for state, n in sorted(counts.states.items()) if n)
    lines: list[Line] = [f"{counts.letters} letters about {counts.messages} messages: {by_state or 'none'}"]
    if found.mailbox.unreadable:
        lines.append(f"{found.mailbox.unreadable} records of the dead-letter topic are no dead letters")
    if found.unread:
        lines.append(Cell("NOT THE WHOLE: a system did not answer", Tone.BAD))
    return tuple(lines)


def _next(causes: Sequence[Cause], options: Options) -> tuple[str, ...]:
    steps = []
    for state, words in ((DlqState.UNSETTLED, ["replay"]), (DlqState.WOULD_FAIL, ["list"])):
        cause = next((c for c in causes if c.states.get(state)), None)
        if cause is not None:
            steps.append(shlex.join(["kcfix", "dlq", *words, "--cause", cause.code, *options.span.words]))
    if any(c.states.get(DlqState.WAITING) for c in causes):
        steps.append("kcfix status")
    return tuple(steps)


def _message_next(kept: Sequence[Original], cause: str | None, options: Options) -> tuple[str, ...]:
    sendable = [o for o in kept if o.state is DlqState.UNSETTLED]
    steps = []
    if sendable and cause is not None:
        steps.append(shlex.join(["kcfix", "dlq", "replay", "--cause", cause, *options.span.words]))
    elif len(sendable) == 1:
        steps.append(f"kcfix dlq replay {sendable[0].place}")
    other = next((o for o in kept if o.state not in (DlqState.UNSETTLED, DlqState.SETTLED)), None)
    return (*steps, *((f"kcfix dlq show {other.place}",) if other else ()))
