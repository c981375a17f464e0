"""Whose ids stand in a text, of few payments and of many."""

from __future__ import annotations

import pytest

from kcfix.core.judging.id_index import IdIndex
from kcfix.core.story.payment_story import Marks
from tests.fakes_database import allocation_id, payment_id, purchase_id


@pytest.mark.parametrize("payments", [2, 100])
def test_a_payment_is_named_by_any_of_its_ids(payments: int) -> None:
    marks = [Marks(payment_id(n), purchase_id(n), (allocation_id(n),)) for n in range(payments)]
    index = IdIndex(marks)
    for id in (payment_id(1), purchase_id(1), allocation_id(1)):
        assert index.named_in(f'{{"id":"{id.upper()}","n":1}}') == {payment_id(1)}
    assert index.named_in(f"notif-{payment_id(0)}-1767805200000 {purchase_id(1)}") == {payment_id(0), payment_id(1)}
    assert index.named_in("nobody") == frozenset()


def test_an_allocation_of_two_payments_names_both() -> None:
    index = IdIndex([Marks(payment_id(n), None, (allocation_id(7),)) for n in (1, 2)])
    assert index.named_in(allocation_id(7)) == {payment_id(1), payment_id(2)}
