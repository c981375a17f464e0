"""What a repair writes into the journal before it does something."""

from __future__ import annotations

from kcfix.core.events import Message
from kcfix.core.ports.database import InsertOrder
from kcfix.core.repair.plan import Step


def insert_entry(step: Step, order: InsertOrder) -> dict[str, object]:
    """The purchase that is about to be inserted."""
    return {
        "step": "insert",
        "payment_id": order.payment_id,
        "purchase_id": order.purchase_id,
        "tier": order.tier,
        "before": _before(step),
    }


def send_entry(kind: str, step: Step, message: Message) -> dict[str, object]:
    """The message that is about to be sent; its value is not kept, for it may name people."""
    return {
        "step": kind,
        "payment_id": step.payment_id,
        "topic": message.topic,
        "headers": {name: (value or b"").decode(errors="replace") for name, value in message.headers},
        "before": _before(step),
    }


def _before(step: Step) -> dict[str, object]:
    """The world that the step was planned on, for whoever reads the journal."""
    facts = step.facts
    return {
        "verdict": step.verdict.kind,
        "status": facts.payment.status if facts and facts.payment else None,
        "purchases": [p.id for p in facts.purchases] if facts else None,
    }
