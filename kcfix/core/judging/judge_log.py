"""Rows 10 to 19 of docs/decisions.md 2: a payment without a purchase, by where its message lies in the log."""

from __future__ import annotations

from kcfix.core.judging.snapshot import FoundMessage, MessageEvidence
from kcfix.core.judging.verdict import Case, Verdict, VerdictKind
from kcfix.core.offsets import TopicPartition


def kafka_unknown(case: Case) -> Verdict | None:
    """Rows 10 to 19 all rest on the log: where it could not be read, none of them can be told from another."""
    evidence = case.snapshot.evidence
    if evidence.value is None:
        return case.unknown(f"it has no purchase; what became of its message is unknown: {evidence.error}")
    if evidence.value.lag.unprotected is None:
        return case.unknown(f"it has no purchase; offsets of {evidence.value.partition}: {evidence.value.lag.error}")
    if not evidence.value.complete and not evidence.value.messages:
        return case.unknown(f"it has no purchase; the search was cut short: {evidence.value.incomplete_reason}")
    return None


def _evidence(case: Case) -> MessageEvidence:
    evidence = case.snapshot.evidence.value
    assert evidence is not None  # noqa: S101  kafka_unknown comes before
    return evidence


def latest_message(evidence: MessageEvidence) -> FoundMessage | None:
    """The copy that a group would read last (a replay lies behind the original); None without any.

    A record that only carries the payment's key, and is no event of it, counts where there is nothing better.
    """
    own = [m for m in evidence.messages if m.event is not None and m.record.key == (m.event.payment_id or "").encode()]
    return next(reversed(own or evidence.messages), None)


def _partition(message: FoundMessage) -> TopicPartition:
    return TopicPartition(message.record.topic, message.record.partition)


def _place(message: FoundMessage) -> str:
    record = message.record
    return f"its message is {record.topic}-{record.partition} offset {record.offset}"


def poison(case: Case) -> Verdict | None:
    evidence = _evidence(case)
    head = evidence.head
    if head is None or not head.failing:
        return None
    place = (head.partition, head.offset)
    mine = next((m for m in evidence.messages if (_partition(m), m.record.offset) == place), None)
    if mine is None:
        return None
    return case.verdict(
        VerdictKind.POISON, f"{_place(mine)}, where the worker fails: {head.failures[-1]}", message=mine
    )


def would_fail(case: Case) -> Verdict | None:
    if case.tier is None:
        stated = case.payment.stated_tier
        text = "states no tier" if stated is None else f"states tier {stated}"
        return case.verdict(VerdictKind.BAD_TIER, f"the payment {text}; it must be 10, 20 or 30")
    if case.facts.course_known is False:
        return case.verdict(VerdictKind.UNKNOWN_COURSE, f"course {case.course_id} is not in the courses table")
    return None


def blocked(case: Case) -> Verdict | None:
    evidence = _evidence(case)
    message, head = latest_message(evidence), evidence.head
    if message is None or head is None or not head.failing:
        return None
    if _partition(message) != head.partition or message.record.offset <= head.offset:
        return None
    whose = f"payment {head.payment_id}" if head.payment_id else "a record that can't be decoded"
    return case.verdict(
        VerdictKind.BLOCKED,
        f"{_place(message)}, behind {whose} at offset {head.offset}, which fails: {head.failures[-1]}",
        message=message,
    )


def waiting(case: Case) -> Verdict | None:
    """Rows 13 to 17: where its message lies to the committed offset, or to the starts of the worker."""
    evidence, snapshot = _evidence(case), case.snapshot
    # A time in the future (two clocks, a wrong one) is as far off as one in the past: it keeps nothing in flight.
    young = -case.overdue <= snapshot.taken_at - case.payment.paid_at < case.overdue
    message = latest_message(evidence)
    if message is None:
        return case.verdict(VerdictKind.IN_FLIGHT, "paid less than a minute ago") if young else None
    place, lag = _place(message), evidence.lag
    written = message.record.timestamp
    age = None if written is None else snapshot.taken_at - written
    ahead = lag.unprotected is False and message.record.offset >= (lag.committed_offset or 0)
    starts = snapshot.workers.starts
    group = snapshot.workers.group.value
    joined_before = written is not None and any(s < written for s in starts[-1:])
    fresh = age is not None and -case.overdue <= age < case.overdue
    if young or (fresh and group is not None and group.members and (ahead or (lag.unprotected and joined_before))):
        return case.verdict(VerdictKind.IN_FLIGHT, f"{place}, not yet overdue", message=message)
    if ahead and evidence.head is not None and evidence.dead_letters_unread:
        # Whether the record that the group stands on was seen to fail: POISON or BLOCKED can't be told from PENDING.
        return case.unknown(f"{place}, not read yet; what fails there is unknown: {evidence.dead_letters_error}")
    if ahead:
        return case.verdict(
            VerdictKind.PENDING, f"{place}, at or past the committed offset {lag.committed_offset}", message=message
        )
    if lag.unprotected:
        started = written is not None and any(s > written for s in starts)
        if not started and not evidence.dead_letters:
            doubt = "" if snapshot.workers.containers_known else "; whether a worker started since is not known"
            return case.verdict(
                VerdictKind.AT_RISK,
                f"{place}, on a partition without a usable committed offset: a plain start will skip it{doubt}",
                message=message,
            )
        passed = f"{place}, on a partition without a usable committed offset, and a worker has started since"
    else:
        passed = f"{place}, behind the committed offset {lag.committed_offset}"
    if evidence.dead_letters:
        why = evidence.dead_letters[-1].reason
        return case.verdict(VerdictKind.DEAD_LETTERED, f"{passed}; dead letter: {why}", message=message)
    if evidence.dead_letters_unread:
        return case.unknown(f"{passed}; whether it was dead-lettered is unknown: {evidence.dead_letters_error}")
    return case.verdict(VerdictKind.SKIPPED, passed, message=message)


def expired(case: Case) -> Verdict | None:
    evidence = _evidence(case)
    if not evidence.log_was_cut:
        return None
    begins = evidence.log_begins_at
    if any(moment is not None and moment <= case.payment.paid_at for moment in (begins, evidence.kept_since)):
        return None
    if begins is None and evidence.lag.retained_records:
        return case.unknown(f"no message; when the retained log of {evidence.partition} begins could not be read")
    what = "holds no record any more" if begins is None else f"begins at {begins.isoformat(timespec='seconds')}"
    return case.verdict(VerdictKind.EXPIRED, f"no message; the retained log of {evidence.partition} {what}")


def never(case: Case) -> Verdict | None:
    evidence = _evidence(case)
    row = next((e for e in case.facts.events if e.event_type == "PURCHASE_CONFIRMED"), None)
    if row is None:
        return case.verdict(
            VerdictKind.NEVER_EMITTED, f"no message in {evidence.partition} and no processed_events row"
        )
    return case.verdict(
        VerdictKind.NEVER_SENT,
        f"no message in {evidence.partition}, though processed_events has a row by {row.source} of "
        f"{row.processed_at.isoformat(timespec='seconds')}",
    )


ROWS = (kafka_unknown, poison, would_fail, blocked, waiting, expired, never)
"""In the order of the table; the last one always holds."""
