"""Who made the purchase: each rule of the table, and what keeps it from holding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from kcfix.core.payments import Payment, Purchase
from kcfix.core.story.maker import MadeBy, Maker, made_by
from kcfix.core.workers import RawLine
from tests.conftest import NOW
from tests.core.stories import FLOW, log_text, put_created, story
from tests.fakes_database import FakeDatabase, payment_id
from tests.fakes_docker import FakeDocker, container, line
from tests.fakes_kafka import FakeKafka

PAID = NOW - timedelta(minutes=30)
WORKER = container(started_at=PAID - timedelta(hours=1))
SENDER = container("payment-service", started_at=PAID - timedelta(hours=1))


@dataclass
class World:
    """A payment of tier 20 with a purchase whose metadata the worker could have composed."""

    database: FakeDatabase = field(default_factory=lambda: FakeDatabase(now=NOW))
    kafka: FakeKafka = field(default_factory=lambda: FakeKafka(now=NOW))
    lines: list[RawLine] = field(default_factory=list)
    paid: Payment = field(init=False)
    bought: Purchase = field(init=False)

    def __post_init__(self) -> None:
        self.paid = self.database.payment(1, paid_at=PAID)
        self.bought = self.database.purchase(self.paid)

    def change(self, **fields: Any) -> None:
        """Another purchase in its place."""
        self.bought = self.database.purchases[-1] = replace(self.bought, **fields)

    def script(
        self, source: str, *, event_type: str = "PURCHASE_CREATED", late: float = 0, by: str = "payment"
    ) -> None:
        """A row that a script left, so many seconds after the purchase."""
        at = self.bought.created_at + timedelta(seconds=late)
        row = self.database.event(self.paid, event_type, source=source, processed_at=at)
        if by == "purchase":
            self.database.events[-1] = replace(row, correlation_id=self.bought.id)

    def log(self, message: str, *, seconds: float = 0, box: str = WORKER.name, **fields: Any) -> None:
        """A line of the worker about the payment, so many seconds after the purchase."""
        text = log_text(message, paymentId=self.paid.id, **fields)
        self.lines.append(line(box, self.bought.created_at + timedelta(seconds=seconds), text))

    def announced(self, event_id: str = "{}") -> None:
        """The worker announced it."""
        put_created(self.kafka, self.paid, self.bought, event_id=event_id)

    def maker(self) -> MadeBy:
        """What is concluded."""
        docker = FakeDocker.of([WORKER, SENDER], self.lines)
        found = made_by(story(self.paid.id, self.database, self.kafka, docker), FLOW)
        assert found is not None
        return found


def own(world: World) -> None:
    world.database.purchases.clear()
    world.bought = world.database.purchase(world.paid, own=True)
    world.log("Transaction committed successfully")


def by_purchase_id(world: World) -> None:
    world.script("create-purchase-from-payment-script", by="purchase", late=7200)


def as_it_was_made(world: World) -> None:
    world.script("fix-script", event_type="PURCHASE_CONFIRMED")


def later(world: World) -> None:
    world.script("fix-purchase-script", event_type="PURCHASE_CONFIRMED", late=600)


def later_than_the_worker(world: World) -> None:
    later(world)
    committed(world)


def sent_an_event(world: World) -> None:
    # fix-missing-purchase.js makes no purchase: the worker does, on its event.
    world.script("fix-missing-purchase-script", event_type="PURCHASE_CONFIRMED")
    world.log("Transaction committed successfully", purchaseId=world.bought.id)


def committed(world: World) -> None:
    world.log("Transaction committed successfully", purchaseId=world.bought.id)


def fallback(world: World) -> None:
    world.log("Purchase created successfully using fallback method", purchaseId=world.bought.id)


def committed_another(world: World) -> None:
    world.log("Transaction committed successfully", purchaseId="00000000-0000-4000-8000-000499999999")


def committed_long_after(world: World) -> None:
    world.log("Transaction committed successfully", seconds=600)


def found_then_committed(world: World) -> None:
    world.log("Purchase already exists (fallback method, idempotent)", seconds=20)
    world.log("Transaction committed successfully", seconds=21)
    world.announced()


def found_again_later(world: World) -> None:
    world.log("Transaction committed successfully")
    world.log("Purchase already exists, checking if allocation exists", seconds=30)


def announced_composed(world: World) -> None:
    world.announced()


def announced_by_fallback(world: World) -> None:
    world.announced("purchase-created-{}")


def announced_not_composed(world: World) -> None:
    world.change(metadata={"courseId": world.bought.course_id})
    world.announced()


def announced_by_somebody_else(world: World) -> None:
    put_created(world.kafka, world.paid, world.bought, source="made-up-script")


def committed_around_an_error(world: World) -> None:
    # The next line of the same container, which names nobody: it may be about any payment.
    world.log("Purchase creation failed", level="error")
    text = log_text("Transaction committed successfully")
    world.lines.append(line(WORKER.name, world.bought.created_at + timedelta(milliseconds=10), text))


def committed_for_another_payment(world: World) -> None:
    text = log_text("Transaction committed successfully", paymentId=payment_id(9), purchaseId=world.bought.id)
    world.lines.append(line(WORKER.name, world.bought.created_at, text))


def recovered(world: World) -> None:
    world.announced("purchase-created-{}-recovery")


def queued(world: World) -> None:
    world.change(tier=30, metadata={})
    world.log("Added job to retry queue", seconds=-5, box=SENDER.name)


def silent_thirty(world: World) -> None:
    world.change(tier=30, metadata={})


def by_hand(world: World) -> None:
    world.change(metadata={})


def nothing(world: World) -> None:
    """No trace at all."""


@pytest.mark.parametrize(
    ("arrange", "maker", "sure"),
    [
        (own, Maker.KCFIX, True),
        (by_purchase_id, Maker.SCRIPT, True),
        (as_it_was_made, Maker.SCRIPT, True),
        (later, Maker.SCRIPT, False),
        (later_than_the_worker, Maker.WORKER, True),
        (sent_an_event, Maker.WORKER, True),
        (committed, Maker.WORKER, True),
        (fallback, Maker.WORKER, True),
        (committed_another, Maker.UNKNOWN, False),
        (committed_long_after, Maker.UNKNOWN, False),
        (found_then_committed, Maker.UNKNOWN, False),
        (found_again_later, Maker.WORKER, True),
        (announced_composed, Maker.WORKER, False),
        (announced_by_fallback, Maker.WORKER, False),
        (announced_not_composed, Maker.UNKNOWN, False),
        (announced_by_somebody_else, Maker.UNKNOWN, False),
        (committed_around_an_error, Maker.UNKNOWN, False),
        (committed_for_another_payment, Maker.UNKNOWN, False),
        (recovered, Maker.UNKNOWN, False),
        (queued, Maker.COURSE_SERVICE, False),
        (silent_thirty, Maker.COURSE_SERVICE, False),
        (by_hand, Maker.UNKNOWN, False),
        (nothing, Maker.UNKNOWN, False),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_rule_that_holds_decides(arrange: Callable[[World], None], maker: Maker, sure: bool) -> None:
    world = World()
    arrange(world)
    found = world.maker()
    assert (found.maker, found.sure) == (maker, sure), found


def test_the_script_is_named() -> None:
    world = World()
    by_purchase_id(world)
    assert world.maker().name == "create-purchase-from-payment.js"


def test_a_payment_without_a_purchase_has_no_maker() -> None:
    database = FakeDatabase(now=NOW)
    paid = database.payment(1, paid_at=PAID)
    assert made_by(story(paid.id, database, FakeKafka(now=NOW)), FLOW) is None


def test_that_there_is_no_trace_is_not_said_where_not_all_was_read() -> None:
    world = World()
    silent_thirty(world)
    world.kafka.remove_topic("purchase-created")
    assert world.maker().maker is Maker.UNKNOWN


def test_what_was_not_read_is_named_where_no_trace_was_found() -> None:
    world = World()
    world.kafka.remove_topic("notification-requested")
    assert "notification-requested" in world.maker().because
