from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentFacts
from kcfix.core.ports.database import DeleteOrder, DeleteRecheck
from kcfix.core.undo.apply import Undoing, UndoOutcome
from kcfix.core.undo.step import UndoAction, UndoStep
from kcfix.errors import Unreachable
from tests.contract.database_deleting import deletion, go_on_deleting
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

P0 = TopicPartition("purchase-confirmed", 0)


class Notes:
    """A journal that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []

    def intend(self, step: Mapping[str, object]) -> str:
        self.lines.append(step)
        return str(len(self.lines))

    def intend_all(self, steps: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        return tuple(self.intend(step) for step in steps)

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        self.lines.append(result)

    def done_all(self, results: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        self.lines += [result for _, result in results]


def undoing(database: FakeDatabase, kafka: FakeKafka, recheck: DeleteRecheck = go_on_deleting) -> Undoing:
    return Undoing(lambda: database, lambda: kafka, Notes(), recheck)


def delete_step(database: FakeDatabase, n: int = 1) -> UndoStep:
    paid = database.payment(n)
    order = deletion(paid.id, database.purchase(paid, own=True))
    return UndoStep(str(n), "insert", UndoAction.DELETE_PURCHASE, "", paid.id, order)


def kafka_at(offset: int) -> FakeKafka:
    kafka = FakeKafka()
    for n in range(8):
        kafka.put(P0.topic, b"k", str(n).encode(), partition=0)
    kafka.commit_as_worker("g", {P0: offset})
    return kafka


def commit_step() -> UndoStep:
    return UndoStep("c", "commit", UndoAction.COMMIT_OFFSET, "", None, None, "g", P0, 7, 5)


def test_a_deletion_is_journalled_and_read_back() -> None:
    database = FakeDatabase()
    step = delete_step(database)
    run = undoing(database, FakeKafka())
    assert run.do([step])
    assert run.results["1"].outcome is UndoOutcome.UNDONE
    assert database.purchases == []
    assert isinstance(run.journal, Notes)
    assert [line.get("step", line.get("state")) for line in run.journal.lines] == ["delete", "DELETED"]
    assert database.calls[-1] == "facts"


def test_what_the_recheck_finds_under_the_lock_keeps_the_purchase() -> None:
    def announced(order: DeleteOrder, facts: PaymentFacts) -> str:
        return "it was announced meanwhile"

    database = FakeDatabase()
    run = undoing(database, FakeKafka(), announced)
    assert run.do([delete_step(database)])
    assert run.results["1"].outcome is UndoOutcome.REFUSED
    assert len(database.purchases) == 1


@pytest.mark.parametrize(("lost", "outcome"), [("made", UndoOutcome.UNDONE), ("not made", UndoOutcome.UNSEEN)])
def test_after_a_lost_commit_only_a_purchase_that_is_gone_counts(lost: str, outcome: UndoOutcome) -> None:
    database = FakeDatabase()
    steps = [delete_step(database, 1), delete_step(database, 2)]
    database.lost_commit = lost
    run = undoing(database, FakeKafka())
    assert run.do(steps) is (lost == "made")
    assert run.results["1"].outcome is outcome
    assert ("2" in run.results) is (lost == "made")


def test_a_database_that_is_down_has_changed_nothing() -> None:
    database = FakeDatabase()
    step = delete_step(database)
    database.down = Unreachable("down")
    run = undoing(database, FakeKafka())
    run.do([step])
    assert run.results["1"].outcome is UndoOutcome.FAILED


def test_an_offset_is_put_back_and_reads_back() -> None:
    kafka = kafka_at(7)
    run = undoing(FakeDatabase(), kafka)
    assert run.do([commit_step()])
    assert run.results["c"].outcome is UndoOutcome.UNDONE
    assert kafka.committed(["g"])["g"][P0].offset == 5


def test_an_offset_that_moved_since_the_plan_stays() -> None:
    kafka = kafka_at(8)
    run = undoing(FakeDatabase(), kafka)
    run.do([commit_step()])
    assert run.results["c"].outcome is UndoOutcome.REFUSED
    assert kafka.committed(["g"])["g"][P0].offset == 8


def test_an_offset_whose_records_were_deleted_since_the_plan_stays() -> None:
    kafka = kafka_at(7)
    kafka.delete_before(P0, 6)
    run = undoing(FakeDatabase(), kafka)
    run.do([commit_step()])
    assert run.results["c"].outcome is UndoOutcome.REFUSED
    assert kafka.committed(["g"])["g"][P0].offset == 7


def test_a_step_that_can_not_be_undone_is_not_touched() -> None:
    run = undoing(FakeDatabase(), FakeKafka())
    assert run.do([UndoStep("1", "replay", UndoAction.CANNOT, "sent")])
    assert run.results == {}


def test_a_purchase_that_was_gone_before_is_undone_by_nobody_here() -> None:
    database = FakeDatabase()
    step = delete_step(database)
    database.purchases.clear()
    run = undoing(database, FakeKafka())
    assert run.do([step])
    assert (run.results["1"].outcome, run.results["1"].changed) == (UndoOutcome.UNDONE, False)


def test_the_first_step_in_doubt_stops_the_run() -> None:
    database = FakeDatabase()
    steps = [delete_step(database, 1), delete_step(database, 2)]
    database.lost_commit = "not made"
    run = undoing(database, FakeKafka())
    assert not run.do(steps)
    assert database.calls.count("delete") == 1
