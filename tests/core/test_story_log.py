"""Which lines of a container's log belong to a payment, and that the log's size does not matter."""

from __future__ import annotations

from datetime import timedelta

from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId
from kcfix.core.story.log import KEPT, NEWEST, Wanted, read_lines
from kcfix.core.story.payment_story import Looked, Marks, StoryLine
from kcfix.core.workers import RawLine
from kcfix.errors import Unreachable
from tests.conftest import NOW
from tests.core.stories import log_text
from tests.fakes_docker import FakeDocker, container, line

ME = PaymentId("00000000-0000-4000-8000-00000000000a")
PURCHASE, ALLOCATION = "00000000-0000-4000-8000-0000000000c1", "00000000-0000-4000-8000-0000000000d1"
PAID = NOW - timedelta(minutes=30)
BOX = container()
MARKS = Marks(ME, PURCHASE, (ALLOCATION,), (PAID,), PAID)
WHERE = TopicPartition("purchase-confirmed", 1)


def lines(*texts: str, start: float = 0) -> list[RawLine]:
    """A line a second since the payment."""
    return [line(BOX.name, PAID + timedelta(seconds=start + n), text) for n, text in enumerate(texts)]


def read(
    raw: list[RawLine], wanted: Wanted | None = None, docker: FakeDocker | None = None
) -> tuple[tuple[StoryLine, ...], Looked]:
    """What is found of the payment."""
    engine = docker or FakeDocker.of([BOX], raw)
    found, looked = read_lines(engine, "purchase-worker", BOX, {ME: wanted or Wanted(MARKS)})
    return found.get(ME, ()), looked


def said(found: tuple[StoryLine, ...]) -> list[str]:
    return [one.entry.message for one in found]


def test_lines_that_name_payment_purchase_or_allocation_belong_to_it() -> None:
    raw = lines(
        log_text("a", paymentId=ME),
        log_text("b", correlationId=ME.upper()),
        log_text("c", purchaseId=PURCHASE),
        log_text("d", allocationId=ALLOCATION),
        log_text("e", paymentId="another"),
    )
    found, looked = read(raw)
    assert said(found) == ["a", "b", "c", "d"]
    assert (looked.found, looked.error, looked.note) == (4, None, None)


def test_lines_that_name_its_record_belong_to_it() -> None:
    raw = lines(
        log_text("mine", topic="purchase-confirmed", partition=1, offset="7"),
        log_text("other partition", topic="purchase-confirmed", partition=2, offset="7"),
        log_text("other offset", topic="purchase-confirmed", partition=1, offset="71"),
    )
    found, _ = read(raw, Wanted(MARKS, frozenset({(WHERE, 7)})))
    assert said(found) == ["mine"]


def test_around_an_error_three_lines_are_kept_on_both_sides() -> None:
    raw = lines(
        *(log_text(f"before {n}") for n in range(5)),
        log_text("broke", "error", paymentId=ME),
        *(log_text(f"after {n}") for n in range(5)),
    )
    found, looked = read(raw)
    assert said(found) == ["before 2", "before 3", "before 4", "broke", "after 0", "after 1", "after 2"]
    assert [one.around for one in found] == [True, True, True, False, True, True, True]
    assert looked.found == 1


def test_two_errors_close_together_do_not_double_what_is_between() -> None:
    raw = lines(
        log_text("x"),
        log_text("first", "error", paymentId=ME),
        log_text("between"),
        log_text("second", "error", paymentId=ME),
    )
    assert said(read(raw)[0]) == ["x", "first", "between", "second"]


def test_an_own_line_after_an_error_does_not_end_what_is_kept_around_it() -> None:
    raw = lines(
        log_text("broke", "error", paymentId=ME),
        log_text("mine", paymentId=ME),
        log_text("two"),
        log_text("three"),
        log_text("four"),
    )
    assert said(read(raw)[0]) == ["broke", "mine", "two", "three"]


def test_a_meta_line_belongs_to_the_line_before_it() -> None:
    raw = lines("[2026-01-15 11:30:00] [purchase-worker] info: Processing it", f'Meta: {{"paymentId":"{ME}"}}')
    assert said(read(raw)[0]) == ["Processing it"]


def test_of_very_many_lines_the_first_and_the_newest_are_kept() -> None:
    raw = lines(*(log_text(f"line {n}", paymentId=ME) for n in range(3 * KEPT)))
    found, looked = read(raw)
    assert len(found) == KEPT
    assert (said(found)[0], said(found)[-1]) == ("line 0", f"line {3 * KEPT - 1}")
    assert looked.found == 3 * KEPT


def test_a_log_that_is_longer_than_what_is_looked_at_is_said() -> None:
    raw = lines(*("x" for _ in range(NEWEST + 5)))
    _, looked = read(raw)
    assert looked.note is not None
    assert f"only the newest {NEWEST} lines" in looked.note


def test_lines_from_before_the_payment_are_not_read() -> None:
    raw = lines(log_text("old", paymentId=ME), start=-3600) + lines(log_text("new", paymentId=ME))
    assert said(read(raw)[0]) == ["new"]


def test_without_a_known_time_the_newest_lines_are_read() -> None:
    raw = lines(log_text("old", paymentId=ME), start=-3600)
    assert said(read(raw, Wanted(Marks(ME, moments=(NOW,))))[0]) == ["old"]


def test_a_log_that_can_not_be_read_is_said() -> None:
    docker = FakeDocker.of([BOX])
    docker.unreadable[BOX.name] = Unreachable("no such log driver", system="docker")
    found, looked = read([], docker=docker)
    assert (found, looked.found, looked.error) == ((), None, "no such log driver")
