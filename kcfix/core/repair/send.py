"""Sends the messages of a repair: read again whether each is still called for, journal it, send it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kcfix.core.events import Message
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports.kafka import SendResult, SendState
from kcfix.core.repair.again import sent_no_more
from kcfix.core.repair.journal import send_entry
from kcfix.core.repair.means import Means
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Outcome
from kcfix.errors import KcfixError, OutcomeUnknown, Unreachable


def still_to_send(means: Means, steps: Sequence[Step]) -> list[Step]:
    """Those of the steps whose message is still called for, by facts that are read now.

    An announcement rests on more (allocations) than the database can call unchanged by itself.
    """
    if not steps:
        return []
    means.progress("reading again")
    try:
        replays = [s.facts for s in steps if s.action is Action.REPLAY and s.facts is not None]
        same = means.database().unchanged(replays) if replays else frozenset()
        doubtful = [s for s in steps if s.payment_id not in same]
        facts = means.database().facts([s.payment_id for s in doubtful]) if doubtful else {}
    except Unreachable as error:
        for step in steps:
            means.note(step, Outcome.FAILED, f"not sent: {error.message}", changed=False)
        return []
    over = {s.payment_id: r for s in doubtful if (r := sent_no_more(s, facts[s.payment_id])) is not None}
    means.results.update(over)
    return [s for s in steps if s.payment_id not in over]


def send(
    means: Means,
    kind: str,
    steps: Sequence[Step],
    messages: Sequence[Message],
    check: Callable[[], None] = lambda: None,
) -> tuple[SendResult, ...]:
    """Journal the messages and send them; what `check` raises between the two keeps them from being sent."""
    ids = means.journal.intend_all([send_entry(kind, s, m) for s, m in zip(steps, messages, strict=True)])
    try:
        check()
        with means.timed(kind):
            results = means.kafka().send(messages)
    except OutcomeUnknown as error:
        results = tuple(SendResult(SendState.UNKNOWN, error=error.message) for _ in messages)
    except KcfixError as error:
        results = tuple(SendResult(SendState.REJECTED, error=error.message) for _ in messages)
    told = [{"state": r.state, "partition": r.partition, "offset": r.offset, "error": r.error} for r in results]
    means.journal.done_all(zip(ids, told, strict=True))
    return results


def where(topic: str, sent: SendResult) -> tuple[TopicPartition, int] | None:
    """Where a message lies; None where the broker did not say."""
    known = sent.partition is not None and sent.offset is not None
    return (TopicPartition(topic, sent.partition or 0), sent.offset or 0) if known else None


def place(topic: str, sent: SendResult) -> str:
    """The same in words."""
    return f"{topic}-{sent.partition} offset {sent.offset}" if sent.offset is not None else topic
