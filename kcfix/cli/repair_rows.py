"""What a repair planned and did, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from kcfix.cli.payment_columns import payment_columns
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.repair.follow import Followed
from kcfix.core.repair.plan import Action, Step
from kcfix.core.repair.result import Result


def repair_row(step: Step, result: Result | None, followed: Followed | None = None) -> dict[str, object]:
    """One payment of the plan, what became of it, and how far the flow went on where it was followed."""
    payment = step.facts.payment if step.facts else None
    message = step.verdict.message.record if step.verdict.message else None
    purchase = (result.purchase if result else None) or step.verdict.purchase
    return {
        "payment_id": step.payment_id,
        "verdict": step.verdict.kind,
        "detail": step.verdict.detail,
        "reason": step.verdict.reason,
        "also": step.verdict.also,
        "action": step.action,
        "why": step.why,
        "notes": step.notes,
        "outcome": result.outcome if result else None,
        "outcome_text": result.text if result else None,
        "changed": result.changed if result else False,
        "purchase_id": purchase.id if purchase else step.order.purchase_id if step.order and not result else None,
        "event_id": step.replay.event.event_id if step.replay else None,
        "topic": message.topic if message else None,
        "partition": message.partition if message else None,
        "offset": message.offset if message else None,
        **_followed(followed),
        **payment_columns(payment),
        # A person may have given what the payment does not state.
        **({"tier": step.order.tier, "course_id": step.order.course_id} if step.order else {}),
    }


def _followed(followed: Followed | None) -> dict[str, object]:
    known = followed is not None and followed.silent is None
    return {
        "allocation_id": followed.allocation_id if followed else None,
        "sessions": followed.sessions if followed and known else None,
        "cache_group_passed": followed.cache_passed if followed else None,
    }


def malformed_row(word: str) -> dict[str, object]:
    """The row of a word that can't be an id: it has every name that the others have."""
    unknown = ("detail", "outcome", "outcome_text", "purchase_id", "event_id", "topic", "partition", "offset")
    return {
        "payment_id": word,
        "verdict": VerdictKind.NOT_FOUND,
        "reason": "no UUID",
        "also": (),
        "action": Action.NOT_FOUND,
        "why": "no payment has such an id",
        "notes": (),
        "changed": False,
        **dict.fromkeys(unknown),
        **_followed(None),
        **payment_columns(None),
    }
