from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from kcfix.core.events import own_purchase_id
from kcfix.core.journal import JournalStep, RunRecord
from kcfix.core.offsets import Group, TopicPartition
from kcfix.core.ports.database import DeleteState
from kcfix.core.undo.read import UndoSources, read_undo, unannounced
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


@pytest.mark.parametrize("known", [True, False])
def test_a_group_whose_members_are_not_known_is_not_called_empty(known: bool) -> None:
    class Hiding(FakeKafka):
        def groups(self, ids: Collection[str] | None = None) -> Mapping[str, Group]:
            return {i: replace(g, members_known=known) for i, g in super().groups(ids).items()}

    where = TopicPartition(FLOW.purchase_confirmed, 0)
    kafka = Hiding(now=NOW)
    for _ in range(3):
        kafka.put(where.topic, "k", "{}", partition=0)
    kafka.commit_as_worker(FLOW.purchase_group, {where: 2})
    what: dict[str, object] = {"step": "commit", "group": FLOW.purchase_group, "topic": where.topic, "partition": 0}
    what |= {"committed_offset": 2, "committed_offset_before": 1}
    run = RunRecord("r", NOW, "who", "restart", "", (), None, (JournalStep("1", NOW, what, NOW, {}),))
    sources = UndoSources(FLOW, FakeDatabase, lambda: kafka, lambda worker: (), lambda: NOW)
    group = read_undo(run, (), sources).groups[FLOW.purchase_group].value
    assert group is not None
    assert group.empty is known
