from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.offsets import TopicPartition
from kcfix.core.ports import DeleteState
from kcfix.core.undo_read import unannounced
from kcfix.errors import Unreachable
from kcfix.flow import Flow
from tests.contract.database_deleting import deletion
from tests.fakes_database import NOW, FakeDatabase, payment_id
from tests.fakes_kafka import WEEK, FakeKafka

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


def test_a_log_that_no_longer_reaches_back_to_the_purchase_keeps_it(database: FakeDatabase) -> None:
    kafka = FakeKafka(now=NOW)
    kafka.configs[FLOW.purchase_created] = replace(WEEK, retention_bytes=1)
    kafka.put(FLOW.purchase_created, "k", "{}", partition=0, at=NOW)
    kafka.put(FLOW.purchase_created, "k", "{}", partition=0, at=NOW)
    assert undo(kafka, database) is DeleteState.DELETED
    database.purchase(database.payments[0], own=True)
    kafka.delete_before(TopicPartition(FLOW.purchase_created, 0), 1)
    assert undo(kafka, database) is DeleteState.REFUSED
    assert len(database.purchases) == 1
