"""Rules about payments: one for each verdict of docs/decisions.md 2 that is not well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from kcfix.core.doctor.diagnosis import Confidence, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Link, Rule, always, because, same, same_trouble, same_trouble_told
from kcfix.core.doctor.rules.groups import partition_of, place_of
from kcfix.core.doctor.rules.members import shared_since
from kcfix.core.doctor.rules.paid import count_of, made, of_kind, repair, shown
from kcfix.core.doctor.rules.proof import log_line, partition_thing, things_of, trouble_thing
from kcfix.core.doctor.troubles import OF_DATABASE, OF_KAFKA, Trouble, trouble_of
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.logs.milestones import Milestone, is_milestone
from kcfix.core.logs.parse import offset_of
from kcfix.core.missing import Finding as PaymentFinding


def skipped(examination: Examination) -> Iterator[Found]:
    """Payments whose message the group has gone past, without a purchase and without a dead letter.

    A start at the end of the log skipped it (no committed offset), an offset was reset forward ("to latest"), somebody
    else in the group swallowed it, or the worker committed before its write and the write was lost. Nobody will ever
    read it again.
    """
    worker = examination.worker(examination.flow.stages[0])
    since = shared_since(examination, worker) if worker is not None else None
    every = of_kind(examination, VerdictKind.SKIPPED)
    # What was written before somebody else came into the group was passed over by other means.
    before = tuple(f for f in every if since is not None and _written_before(f, since))
    for part, how in (
        (before, "a start at the log end, or an offset that was reset forward"),
        (
            tuple(f for f in every if f not in before),
            "a start at the log end, an offset that was reset forward, or another program in the group",
        ),
    ):
        yield from made(
            examination,
            VerdictKind.SKIPPED,
            "passed over: the message lies behind the group, and there is no purchase",
            f"the group went past their message without handling it: {how}",
            only=part,
        )


def _written_before(finding: PaymentFinding, moment: datetime) -> bool:
    message = finding.verdict.message
    written = message.record.timestamp if message is not None else None
    return written is not None and written < moment


def _not_older(link: Link) -> Link:
    """The cause explains it as well, unless all of it was written before the cause began."""

    def linked(effect: Found, cause: Found) -> bool:
        since = cause.since
        older = since is not None and bool(effect.payments) and all(_written_before(f, since) for f in effect.payments)
        return not older and link(effect, cause)

    return linked


def unwritten(examination: Examination) -> Iterator[Found]:
    """Payments whose message the worker says it has handled, and whose purchase is not there.

    The offset was committed before the purchase was written, and the write was lost: a handler that is not waited
    for, a commit of its own in the program, or a process that died between the two. Lag is 0, nothing failed, there is
    no dead letter; only the tables show it.
    """
    found = of_kind(examination, VerdictKind.SKIPPED)
    worker = examination.worker(examination.flow.stages[0])
    if worker is None or not found:
        return
    entries = examination.earlier_entries(worker.containers or ())
    handled = {offset_of(e): e for e in entries if is_milestone(e, Milestone.HANDLED)}
    mine = [(f, handled[place]) for f in found if (place := place_of(f)) in handled]
    if not mine:
        return
    lost = tuple(f for f, _ in mine)
    yield Found(
        symptom=f"{worker.stage.worker} says it handled {count_of(examination, lost)}, and there is no purchase",
        cause="the offset was committed before the purchase was written, or the write went to another database",
        evidence=(*(log_line(e) for _, e in mine[:3]), *shown(examination, lost)),
        action=(repair(lost), f"kcfix trace {lost[0].payment.id}"),
        about=(
            *things_of(worker),
            *(
                partition_thing(tp)
                for tp in sorted({tp for f, _ in mine for tp in (partition_of(f),) if tp is not None})
            ),
        ),
        confidence=Confidence.LIKELY,
        payments=lost,
    )


def dead_lettered(examination: Examination) -> Iterator[Found]:
    """Payments whose message ended in the dead letters, and the group went on.

    Nothing reads the dead letters. Mend what they name, then `kcfix repair`: it replays, or inserts where the cause may
    persist.
    """
    yield from made(
        examination,
        VerdictKind.DEAD_LETTERED,
        "in the dead letters, and left there",
        "the worker failed on their message and the group went past it; nothing reads the dead letters",
    )


def expired(examination: Examination) -> Iterator[Found]:
    """Payments whose message, if there was one, is deleted: the log begins after them.

    Kafka can't help any more; `kcfix repair` makes the purchases from the database.
    """
    yield from made(
        examination, VerdictKind.EXPIRED, "without a message any longer: the log begins later", "retention deleted it"
    )


def poisoned(examination: Examination) -> Iterator[Found]:
    """Payments whose own message is the one that the worker fails on.

    A replay would fail in the same way, and is refused. Once the cause is gone, or a person has named course or tier,
    `kcfix repair` inserts the purchase; the group still has to be moved past the message (G001).
    """
    found = of_kind(examination, VerdictKind.POISON)
    outside = all(trouble_of(f.verdict.reason) in OF_DATABASE | OF_KAFKA for f in found)
    yield from made(
        examination,
        VerdictKind.POISON,
        "with a message that the worker fails on",
        "the worker fails for a reason that is not in the message"
        if outside
        else "what the message holds can't become a purchase as it is",
    )


def unknown(examination: Examination) -> Iterator[Found]:
    """Payments without a purchase whose story could not be told, because a system did not answer."""
    found = of_kind(examination, VerdictKind.UNKNOWN)
    if found:
        yield Found(
            symptom=f"{count_of(examination, found)} without purchase or announcement, and why is not known",
            cause=found[0].verdict.reason,
            evidence=shown(examination, found),
            action=("kcfix missing",),
            about=(Thing("worker", examination.flow.purchase_worker), trouble_thing(Trouble.KAFKA_SILENT)),
            confidence=Confidence.UNPROVEN,
            payments=found,
        )


STANDSTILL = ("K013", "W001", "W002", "W003", "W004", "W005", "W006", "W007", "W008", "W009", "W013", "W014", "W015")


SETTINGS = ("K003", "C001", "C002", "C003", "C004", "C005", "C013", "D003")


BEFORE = (
    *because(same("partition"), "G001", "G002"),
    *because(same("worker"), "G008", "G009"),
    *because(same("partition"), "G007", "G012"),
    *because(same("worker"), "G007", *SETTINGS, *STANDSTILL),
    *because(always, "K001", "K002"),
    *because(same("worker"), "K004"),
    *because(always, "D001", "D002", "D005", "D007"),
)


_PASSED = (
    *because(same("partition"), "G002", "G004", "G005", "G006", "G003"),
    *because(_not_older(same("partition")), "G007"),
    *because(_not_older(same("worker")), "G007"),
    *because(same("worker"), "G008", "C004", "G005"),
)


_FAILED = (
    *because(same("partition"), "G002", "G001"),
    *because(same("worker"), *SETTINGS, "W013"),
    *because(same_trouble_told, "D008", "D006", "D004", "D005", "D007", "D001", "D002", "D010"),
)


PAYMENTS = frozenset({Need.PAYMENTS})


payment_rule = partial(Rule, needs=PAYMENTS)


RULES = (
    payment_rule(
        "P024",
        Severity.ERROR,
        "Messages were handled and nothing was written",
        unwritten,
        causes=because(same("worker"), "C004", "G008"),
        modes=("36",),
    ),
    payment_rule(
        "P004",
        Severity.ERROR,
        "Payments were passed over",
        skipped,
        causes=(*because(same("partition"), "P024"), *_PASSED),
        modes=("1", "2", "36"),
    ),
    payment_rule(
        "P005",
        Severity.ERROR,
        "Payments ended in the dead letters",
        dead_lettered,
        causes=(*_FAILED, *_PASSED),
        modes=("2",),
    ),
    payment_rule(
        "P006",
        Severity.ERROR,
        "Payments whose message is deleted",
        expired,
        causes=because(same("worker"), "G004"),
        modes=("7",),
    ),
    payment_rule(
        "P009",
        Severity.ERROR,
        "Payments that the worker fails on",
        poisoned,
        causes=(*because(same("partition"), "W006"), *_FAILED),
        modes=("3",),
    ),
    payment_rule(
        "P020",
        Severity.CAUTION,
        "Payments whose story is unknown",
        unknown,
        causes=(
            *because(same_trouble, "K001", "K002", "K003"),
            *because(always, "K001", "K002"),
            *because(same("worker"), "K004"),
        ),
        modes=(),
    ),
)
