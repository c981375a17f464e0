from __future__ import annotations

import json

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.ports import DeleteState
from kcfix.core.undo_read import unannounced
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.contract.database_deleting import deletion
from tests.fakes_database import NOW, FakeDatabase, payment_id
from tests.fakes_kafka import FakeKafka

FLOW = Flow()


def undo(kafka: FakeKafka, database: FakeDatabase) -> DeleteState:
    """Delete the purchase of payment 1 if the log lets it."""
    (purchase,) = (p for p in database.purchases if p.id == own_purchase_id(payment_id(1)))
    recheck = unannounced(lambda: kafka, FLOW, lambda: NOW)
    (result,) = database.delete([deletion(payment_id(1), purchase)], recheck)
    return result.state


@pytest.fixture
def database() -> FakeDatabase:
    made = FakeDatabase()
    made.purchase(made.payment(1), own=True)
    return made


def test_without_an_announcement_it_is_deleted(database: FakeDatabase) -> None:
    assert undo(FakeKafka(now=NOW), database) is DeleteState.DELETED


def test_an_announcement_whatever_its_key_keeps_it(database: FakeDatabase) -> None:
    kafka = FakeKafka(now=NOW)
    body = {"type": "PURCHASE_CREATED", "purchaseId": own_purchase_id(payment_id(1))}
    kafka.put(FLOW.purchase_created, "another key", json.dumps(body))
    assert undo(kafka, database) is DeleteState.REFUSED


def test_an_allocation_keeps_it(database: FakeDatabase) -> None:
    database.allocation(database.purchases[0], status="pending")
    assert undo(FakeKafka(now=NOW), database) is DeleteState.REFUSED


def test_a_kafka_that_does_not_answer_keeps_it(database: FakeDatabase) -> None:
    def down() -> FakeKafka:
        raise Unreachable("down", system="kafka")

    recheck = unannounced(down, FLOW, lambda: NOW)
    (result,) = database.delete([deletion(payment_id(1), database.purchases[0])], recheck)
    assert result.state is DeleteState.FAILED
    assert len(database.purchases) == 1
