"""What the contract of a DatabasePort needs: a world to try it in, and orders to give."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from kcfix.core.events import advisory_lock_key, own_purchase_id
from kcfix.core.payments import Payment, PaymentFacts, PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort, InsertOrder
from tests.fakes_database import FakeDatabase, course_id


class World(Protocol):
    """A database that a test fills, looks into and changes behind the port's back."""

    def open(self, seed: FakeDatabase) -> DatabasePort:
        """A port to a database with just these rows."""

    def another(self) -> DatabasePort:
        """Another port to the same database, as another run of kcfix has one."""

    def purchases(self) -> list[Purchase]:
        """The purchases that are committed now."""

    def write(self, purchase: Purchase) -> None:
        """Commit a purchase, as a script does that takes no lock."""

    def set_status(self, id: PaymentId, status: str) -> None:
        """Commit another status of a payment."""

    def set_metadata(self, id: PaymentId, name: str, value: object) -> None:
        """Commit another value of one name in a payment's metadata."""

    def lock_held(self, key: int) -> AbstractContextManager[None]:
        """Another session holds this advisory lock."""


def order(payment: Payment, facts: PaymentFacts, *, course: int | None = None, tier: int = 20) -> InsertOrder:
    """The order that inserts what was paid."""
    wanted = course_id(course) if course is not None else str(payment.course_id)
    return InsertOrder(
        payment_id=payment.id,
        purchase_id=own_purchase_id(payment.id),
        student_id=payment.student_id,
        course_id=wanted,
        tier=tier,
        metadata={"courseId": wanted, "purchaseTier": tier, "sessionCount": tier, "timeSlot": "4:00 PM"},
        expiry_date=None,
        lock_keys=(advisory_lock_key(payment.student_id, wanted),),
        planned_on=facts,
    )


def go_on(order: InsertOrder, facts: PaymentFacts) -> None:
    """A recheck that finds nothing changed."""


def refuse_purchased(order: InsertOrder, facts: PaymentFacts) -> str | None:
    """A recheck that lets only succeeded payments without any active purchase pass."""
    if facts.payment is None or not facts.payment.succeeded:
        return "no longer succeeded"
    return "already purchased" if any(p.is_active for p in facts.purchases) else None
