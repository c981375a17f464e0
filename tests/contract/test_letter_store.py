"""What the store of dead letters gives back, whatever was put into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kcfix.adapters.letter_store import open_letters
from kcfix.core.dlq.letter import DlqState, Judged, Letter, Place
from kcfix.core.dlq.store import LetterStore, Waiting
from kcfix.core.payments import PaymentId
from tests.fakes_database import payment_id

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = Letter(
    original=Place("t", 0, 5),
    letter=Place("dlq", 1, 0),
    at=NOW,
    cause="one",
    reason="one thing",
    payment_id=payment_id(1),
    event_id="e1",
    outline=b"{}",
)


@pytest.fixture
def store() -> Iterator[LetterStore]:
    opened = open_letters()
    yield opened
    opened.close()


def test_letters_of_one_message_are_one(store: LetterStore) -> None:
    later = replace(FIRST, letter=Place("dlq", 2, 7), at=NOW + HOUR, cause="two", reason="two things")
    store.add([FIRST, later, replace(FIRST, letter=Place("dlq", 0, 1), at=NOW - HOUR)])
    [found] = store.at(FIRST.original)
    assert (found.letters, found.first_at, found.last_at) == (3, NOW - HOUR, NOW + HOUR)
    assert (found.cause, found.reason, found.letter) == ("two", "two things", later.letter)
    assert (found.payment_id, found.event_id, found.outline, found.judged) == (payment_id(1), "e1", b"{}", None)


def test_a_letter_without_a_time_counts_and_does_not_win(store: LetterStore) -> None:
    timeless = replace(FIRST, at=None, cause="old", outline=None)
    store.add([timeless])
    assert store.at(FIRST.original)[0].first_at is None
    store.add([FIRST, timeless])
    [found] = store.at(FIRST.original)
    assert (found.letters, found.first_at, found.last_at, found.cause, found.outline) == (3, NOW, NOW, "one", b"{}")


def test_one_place_with_two_events_is_two_messages(store: LetterStore) -> None:
    store.add([FIRST, replace(FIRST, event_id="e2", payment_id=payment_id(2))])
    assert [o.event_id for o in store.at(FIRST.original)] == ["e1", "e2"]
    assert [o.event_id for o in store.about(payment_id(2))] == ["e2"]


def test_a_new_letter_asks_for_a_new_judgement(store: LetterStore) -> None:
    store.add([FIRST])
    store.judge({store.at(FIRST.original)[0].id: Judged(DlqState.SETTLED, "done", owed=False)})
    assert store.counts().states == {DlqState.SETTLED: 1}
    store.add([FIRST])
    assert store.at(FIRST.original)[0].judged is None
    assert store.judge_rest(Judged(DlqState.UNKNOWN, "no answer", owed=True)) == 1
    assert store.at(FIRST.original)[0].judged == Judged(DlqState.UNKNOWN, "no answer", owed=True)


def test_copies_of_an_event_oldest_first(store: LetterStore) -> None:
    places = [Place("t", 0, 9), Place("t", 0, 7), Place("other", 0, 1)]
    store.add(replace(FIRST, original=p, at=NOW + n * HOUR) for n, p in enumerate(places))
    [newest, _] = reversed(store.same_event(store.at(places[0])[0]))
    assert newest.place == places[1]
    store.add([replace(FIRST, original=Place("t", 1, 1), event_id=None)])
    alone = store.at(Place("t", 1, 1))[0]
    assert store.same_event(alone) == (alone,)


def test_causes_with_their_sums_the_most_owed_first(store: LetterStore) -> None:
    store.add(replace(FIRST, original=Place("t", 0, n), event_id=f"e{n}", cause="one") for n in range(3))
    store.add([replace(FIRST, original=Place("t", 1, 0), event_id="x", cause="two", at=NOW + HOUR)] * 4)
    judged = {o.id: Judged(DlqState.SETTLED, "done", owed=False) for o in store.messages(cause="one")}
    owed = next(iter(judged))
    judged[owed] = Judged(DlqState.UNSETTLED, "no purchase", owed=True)
    store.judge(judged)
    store.judge_rest(Judged(DlqState.SETTLED, "done", owed=False))
    one, two = store.causes()
    assert (one.code, one.topic, one.messages, one.letters, one.owed) == ("one", "t", 3, 3, 1)
    assert (one.states, one.example.id) == ({DlqState.SETTLED: 2, DlqState.UNSETTLED: 1}, owed)
    assert (two.code, two.letters, two.owed) == ("two", 4, 0)
    assert list(store.owed_payments()) == [payment_id(1)]
    assert list(store.owed_payments(cause="two")) == []
    assert (store.counts(cause="one").messages, store.counts(topic="nothing").messages) == (3, 0)
    assert store.causes("nothing") == ()


def test_messages_in_both_orders_by_state(store: LetterStore) -> None:
    store.add(replace(FIRST, original=Place("t", 0, n), event_id=f"e{n}", at=NOW + n * HOUR) for n in range(2500))
    newest = [o.place.offset for o in store.messages()]
    assert newest == list(range(2499, -1, -1))
    assert [o.place.offset for o in store.messages(oldest_first=True)] == newest[::-1]
    assert list(store.messages(states=[DlqState.PARKED])) == []
    pages = [store.page("t", after, 1000) for after in (0, 1000, 2000)]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert store.topics() == ("t",)


def test_the_last_record_about_a_subject_counts(store: LetterStore) -> None:
    store.add_waiting([Waiting("a", Place("t", 0, 1)), Waiting("a", Place("t", 0, 4)), Waiting("b", Place("u", 0, 1))])
    assert store.waiting("t", ["a", "b", *map(str, range(2000))]) == {"a": Place("t", 0, 4)}


def test_the_largest_offset_is_taken(store: LetterStore) -> None:
    place = Place("t", 2**31 - 1, 2**63 - 1)
    store.add([replace(FIRST, original=place, payment_id=PaymentId(""))])
    assert store.at(place)[0].payment_id is None
    assert store.at(Place("t", 0, 10**30)) == ()
