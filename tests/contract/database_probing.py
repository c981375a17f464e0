"""The contract of a probe's payment: what is written, what is found again, and what keeps it from being written."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from kcfix.core.ports.database import InsertState, ProbeOrder
from kcfix.core.probe import AMOUNT_MINOR, PROVIDER, metadata_of, probe_id, student_of
from tests.contract.database_world import World
from tests.fakes_database import FakeDatabase
from tests.fakes_database_rows import NOW, course_id


def an_order(n: int = 1, course: int = 1) -> ProbeOrder:
    """The order of probe n."""
    id = probe_id(uuid.UUID(int=n, version=4))
    made = metadata_of(course_id(course), 10, NOW)
    return ProbeOrder(id, student_of(id), True, course_id(course), AMOUNT_MINOR, PROVIDER, made)


class ProbingContract:
    """What a probe's payment does. A subclass says in what world."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_probes_payment_is_one_that_succeeded(self, world: World) -> None:
        database = world.open(FakeDatabase())
        order = an_order()
        assert database.probe(order).state is InsertState.INSERTED
        payment = database.facts([order.payment_id])[order.payment_id].payment
        assert payment is not None
        assert (payment.status, payment.amount_minor, payment.currency) == ("succeeded", 1, "INR")
        assert (payment.student_id, payment.course_id, payment.tier) == (order.student_id, course_id(1), 10)
        assert payment.confirmed_at is not None
        assert payment.metadata == order.metadata

    def test_probes_are_found_by_their_mark_and_no_other_payment_is(self, world: World) -> None:
        seed = FakeDatabase()
        seed.payment(1)
        database = world.open(seed)
        assert database.probes(10).payment_ids == ()
        assert database.probes(10).course_id == course_id(1)
        for n in (1, 2, 3):
            database.probe(an_order(n))
        assert sorted(database.probes(10).payment_ids) == [an_order(n).payment_id for n in (1, 2, 3)]
        assert len(database.probes(2).payment_ids) == 2

    def test_a_probe_that_is_there_is_not_written_again(self, world: World) -> None:
        database = world.open(FakeDatabase())
        database.probe(an_order())
        assert database.probe(an_order()).state is InsertState.EXISTS
        assert len(database.probes(10).payment_ids) == 1

    def test_a_course_that_is_not_there_is_refused(self, world: World) -> None:
        database = world.open(FakeDatabase())
        result = database.probe(an_order(course=99))
        assert result.state is InsertState.REFUSED
        assert "course" in str(result.reason)
        assert database.probes(10).payment_ids == ()

    def test_a_student_with_an_active_purchase_of_it_is_refused(self, world: World) -> None:
        seed = FakeDatabase()
        payment = seed.payment(1)
        seed.purchase(payment)
        database = world.open(seed)
        course = payment.course_id
        assert course is not None
        order = replace(an_order(), student_id=payment.student_id, new_student=False, course_id=course)
        result = database.probe(order)
        assert result.state is InsertState.REFUSED
        assert "active purchase" in str(result.reason)
        assert database.probes(10).payment_ids == ()
