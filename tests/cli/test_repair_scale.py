"""`kcfix repair` of many payments: canary, batches, rate, reading back, and what stops a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kcfix.core.events import advisory_lock_key
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.kafka import SendState
from kcfix.errors import KcfixError, OutcomeUnknown, Unreachable
from tests.cli.night import APPLY, GROUP, Night, outcomes
from tests.conftest import NOW, Ran, Terminal
from tests.fakes_docker import container

Repair = Callable[..., Ran]


@pytest.fixture
def many(night: Night) -> list[str]:
    """Seven payments, oldest first."""
    night.paid += [night.pay(n, minutes=30 - n) for n in range(3, 8)]
    return night.ids


def inserted(night: Night) -> list[int]:
    """How many purchases each inserting transaction was asked for."""
    sizes: list[int] = []
    real = night.database.insert

    def insert(orders: Sequence[Any], recheck: Any) -> Any:
        sizes.append(len(orders))
        return real(orders, recheck)

    night.database.insert = insert  # type: ignore[method-assign]
    return sizes


def test_the_first_payment_goes_alone_and_the_rest_follow_at_once(
    repair: Repair, night: Night, many: list[str]
) -> None:
    sizes = inserted(night)
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (0, {"SETTLED"})
    assert sizes == [1, 6]


@pytest.mark.parametrize(
    ("state", "outcome", "changed"), [(SendState.REJECTED, "UNANNOUNCED", 1), (SendState.UNKNOWN, "UNANNOUNCED", 1)]
)
def test_a_canary_that_is_not_settled_stops_the_run(
    repair: Repair, night: Night, many: list[str], state: SendState, outcome: str, changed: int
) -> None:
    night.kafka.send_states = [state]
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, [outcome] + ["LEFT"] * 6)
    assert len(night.database.purchases) == changed
    assert many[0] in ran.document["data"][1]["outcome_text"]
    again = repair(*many, *APPLY, "-o", "json")
    assert (again.code, set(outcomes(again))) == (0, {"SETTLED"})
    assert len(night.database.purchases) == 7


def test_a_canary_that_became_another_gives_its_place_to_the_next(
    repair: Repair, night: Night, many: list[str]
) -> None:
    sizes = inserted(night)
    real = night.database.insert

    def refund_first(orders: Sequence[Any], recheck: Any) -> Any:
        night.database.change(PaymentId(many[0]), status="refunded")
        return real(orders, recheck)

    night.database.insert = refund_first  # type: ignore[method-assign]
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["CHANGED"] + ["SETTLED"] * 6)
    assert sizes == [1, 1, 5]


def test_the_first_failure_in_a_batch_stops_the_ones_behind_it(repair: Repair, night: Night, many: list[str]) -> None:
    night.kafka.send_states = [SendState.ACKNOWLEDGED, SendState.ACKNOWLEDGED, SendState.REJECTED]
    ran = repair(*many, *APPLY, "--rate", "2", "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["SETTLED", "SETTLED", "UNANNOUNCED"] + ["LEFT"] * 4)
    assert len(night.database.purchases) == 3


def test_a_purchase_that_does_not_read_back_stops_the_run(repair: Repair, night: Night, many: list[str]) -> None:
    real = night.database.insert

    def double(orders: Sequence[Any], recheck: Any) -> Any:
        found = real(orders, recheck)
        night.database.purchase(next(p for p in night.paid if p.id == orders[0].payment_id))
        return found

    night.database.insert = double  # type: ignore[method-assign]
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNVERIFIED"] + ["LEFT"] * 6)
    assert "2 active purchases" in ran.document["data"][0]["outcome_text"]


def test_what_can_not_be_read_back_is_not_called_settled(repair: Repair, night: Night, many: list[str]) -> None:
    silenced(night)
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNVERIFIED"] + ["LEFT"] * 6)
    assert "could not be read back" in ran.document["data"][0]["outcome_text"]


def test_a_server_with_few_locks_is_given_small_transactions(repair: Repair, night: Night) -> None:
    night.database.locks = 150
    night.paid += [night.pay(n, minutes=60) for n in range(3, 504)]
    sizes = inserted(night)
    ran = repair(*night.ids, *APPLY, "--max", "600", "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (0, {"SETTLED"})
    assert sizes == [1, 150, 150, 150, 52]


def test_a_transaction_that_fails_leaves_those_behind_it_and_announces_those_before(
    repair: Repair, night: Night
) -> None:
    night.database.locks = 100
    night.paid += [night.pay(n, minutes=60) for n in range(3, 404)]
    real = night.database.insert

    def insert(orders: Sequence[Any], recheck: Any) -> Any:
        if len(night.database.purchases) > 200:
            night.database.read_only = True
        return real(orders, recheck)

    night.database.insert = insert  # type: ignore[method-assign]
    ran = repair(*night.ids, *APPLY, "--max", "600", "-o", "json")
    assert ran.code == 6
    assert ran.document["summary"]["outcomes"] == {"SETTLED": 201, "FAILED": 100, "LEFT": 102}
    assert len(night.announced()) == 201


def test_a_rate_is_kept_by_pauses(repair: Repair, night: Night, many: list[str]) -> None:
    sizes = inserted(night)
    ran = repair(*many, *APPLY, "--rate", "2", "-o", "json")
    assert ran.code == 0
    assert sizes == [1, 2, 2, 2]
    assert repair(*many, "--rate", "0").code == 2


def test_inserts_that_are_announced_later_do_not_stop_each_other(repair: Repair, night: Night, many: list[str]) -> None:
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = repair(*many, *APPLY, "--strategy", "insert", "--announce-later", "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (6, {"UNANNOUNCED"})
    assert len(night.database.purchases) == 7


def test_of_many_the_number_itself_has_to_be_typed(repair: Repair, night: Night, many: list[str]) -> None:
    for answer, made in (("y\n", 0), ("8\n", 0), ("7\n", 7)):
        ran = repair(*many, "--apply", tty=True, stdin=Terminal(answer, tty=True))
        assert "Change 7 payments, 25,200.00 INR: 7 insert. Type 7 to go ahead: " in ran.err
        assert len(night.database.purchases) == made
        assert ran.code == (0 if made else 5)


def test_an_announcement_is_not_sent_for_a_purchase_that_went_meanwhile(repair: Repair, night: Night) -> None:
    night.kafka.send_states = [SendState.REJECTED]
    repair(night.ids[0], *APPLY)
    real = night.database.holding

    def gone(purchases: Any) -> Any:
        night.database.purchases.clear()
        return real(purchases)

    night.database.holding = gone  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (5, ["CHANGED"])
    assert "no longer there" in ran.document["data"][0]["outcome_text"]
    assert night.announced() == []


def test_an_announcement_waits_for_nobody_longer_than_the_lock_lets_it(repair: Repair, night: Night) -> None:
    def held(purchases: Any) -> Any:
        raise Unreachable("lock time-out: another session held the worker's lock for more than 3 s", system="database")

    night.database.holding = held  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNANNOUNCED"])
    assert "lock time-out" in ran.document["data"][0]["outcome_text"]
    assert night.announced() == []


def test_an_announcement_is_not_sent_once_the_lock_is_lost(repair: Repair, night: Night) -> None:
    night.database.lost_hold = True
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNANNOUNCED"])
    assert "the connection was lost" in ran.document["data"][0]["outcome_text"]
    assert night.announced() == []
    night.database.lost_hold = False
    assert repair(night.ids[0], *APPLY).code == 0


def test_payments_are_taken_from_a_file(repair: Repair, night: Night, tmp_path: Any) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(f"\ufeff'{night.ids[0]}', \n{night.ids[1].upper()}\n")
    ran = repair("--from-file", str(file), "-o", "json")
    assert [row["payment_id"] for row in ran.document["data"]] == night.ids
    assert repair("--from-file", str(tmp_path / "none")).code == 2
    assert repair("--from-file", str(file), night.ids[0]).code == 2


def test_the_next_command_of_many_names_the_file_they_came_from(repair: Repair, night: Night, tmp_path: Any) -> None:
    night.paid += [night.pay(n, minutes=60) for n in range(3, 140)]
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(night.ids))
    ran = repair("--from-file", str(file))
    assert ran.lines[-1].strip() == f"kcfix repair --from-file {file} --apply --max 139"
    ran = repair("--from-file", str(file), *APPLY, "--max", "139", "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (0, {"SETTLED"})


def working(night: Night) -> None:
    """The worker runs and has read all there is, so that payments are replayed; it makes no purchase in this memory."""
    started = int((NOW - timedelta(hours=1)).timestamp() * 1000)
    night.docker.boxes = {c.id: c for c in [container(started_at=NOW - timedelta(hours=1, minutes=1))]}
    night.kafka.join_worker(GROUP, "purchase-confirmed", client_id=f"purchase-worker-{started}", host="172.18.0.5")
    night.kafka.commit_as_worker(GROUP, {TopicPartition("purchase-confirmed", p): 0 for p in range(3)})


def silenced(night: Night) -> None:
    """The database falls silent as soon as there is a purchase."""

    def silent(name: str) -> Callable[..., Any]:
        real = getattr(night.database, name)

        def call(*args: Any, **more: Any) -> Any:
            if night.database.purchases:
                raise Unreachable("the database did not answer within 3 s", system="database")
            return real(*args, **more)

        return call

    for name in ("facts", "standing"):
        setattr(night.database, name, silent(name))


def meanwhile(night: Night, happens: Callable[[], object], *, readings_before: int = 4) -> None:
    """Something happens once the last plan was made, before the next reading.

    The run plans twice; a plan reads a payment without purchase twice, before and after the offsets, others once.
    """
    readings = 0

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(night.database, name)

        def call(*args: Any, **more: Any) -> Any:
            nonlocal readings
            if readings == readings_before:
                happens()
            readings += 1
            return real(*args, **more)

        return call

    for name in ("facts", "unchanged"):
        setattr(night.database, name, counted(name))


def worked(night: Night, *, at_once: int, wrongly: str = "") -> list[int]:
    """A worker that makes so many of the purchases that it was sent before each look; sizes of what is sent to it."""
    sizes: list[int] = []
    unchanged, send = night.database.unchanged, night.kafka.send
    by_id = {paid.id: paid for paid in night.paid}

    def look(facts: Sequence[PaymentFacts]) -> frozenset[PaymentId]:
        bought = {purchase.student_id for purchase in night.database.purchases}
        sent = [by_id[PaymentId((m.key or b"").decode())] for m in night.kafka.sent]
        for paid in [p for p in sent if p.student_id not in bought][:at_once]:
            for _ in range(2 if paid.id == wrongly else 1):
                night.database.purchase(paid)
        return unchanged(facts)

    def sending(messages: Any) -> Any:
        sizes.append(len(messages))
        return send(messages)

    night.database.unchanged, night.kafka.send = look, sending  # type: ignore[method-assign]
    return sizes


def test_replays_are_all_sent_before_the_first_of_them_is_waited_for(
    repair: Repair, night: Night, many: list[str]
) -> None:
    working(night)
    sizes = worked(night, at_once=2)
    ran = repair(*many, *APPLY, "--wait", "1s", "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (0, {"SETTLED"})
    assert sizes == [1, 6]
    assert set(ran.document["summary"]["change_seconds"]) == {"replay"}


def test_a_worker_that_still_makes_purchases_is_waited_for(repair: Repair, night: Night) -> None:
    working(night)
    night.paid += [night.pay(n, minutes=60) for n in range(3, 60)]
    worked(night, at_once=1)  # in all it takes longer than --wait
    ran = repair(*night.ids, *APPLY, "--wait", "2s", "-o", "json")
    assert (ran.code, set(outcomes(ran))) == (0, {"SETTLED"})


def test_a_worker_that_stops_making_them_is_waited_for_as_long_as_said(
    repair: Repair, night: Night, many: list[str]
) -> None:
    working(night)
    worked(night, at_once=0)
    ran = repair(*many, *APPLY, "--wait", "2s", "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNSEEN"] + ["LEFT"] * 6)
    assert "no purchase within 2 s" in ran.document["data"][0]["outcome_text"]


def test_a_replay_of_which_two_purchases_are_made_is_not_settled(repair: Repair, night: Night, many: list[str]) -> None:
    working(night)
    worked(night, at_once=9, wrongly=many[3])
    ran = repair(*many, *APPLY, "--wait", "2s", "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["SETTLED"] * 3 + ["UNVERIFIED"] + ["SETTLED"] * 3)
    assert "2 active purchases" in ran.document["data"][3]["outcome_text"]


def test_a_replay_that_is_not_acknowledged_keeps_the_next_lot_from_being_sent(repair: Repair, night: Night) -> None:
    working(night)
    night.database.locks = 100
    night.paid += [night.pay(n, minutes=60) for n in range(3, 304)]
    sizes = worked(night, at_once=999)
    night.kafka.send_states = [SendState.ACKNOWLEDGED] * 150 + [SendState.UNKNOWN]
    ran = repair(*night.ids, *APPLY, "--max", "600", "--wait", "1s", "-o", "json")
    assert ran.code == 6
    assert ran.document["summary"]["outcomes"] == {"SETTLED": 200, "UNSEEN": 1, "LEFT": 102}
    assert sizes == [1, 100, 100]


def test_a_payment_that_was_refunded_since_the_plan_is_not_replayed(repair: Repair, night: Night) -> None:
    working(night)
    meanwhile(night, lambda: night.database.change(PaymentId(night.ids[0]), status="refunded"))
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert ran.document["data"][0]["action"] == "REPLAY"
    assert (ran.code, outcomes(ran)) == (5, ["CHANGED"])
    assert "refunded" in ran.document["data"][0]["outcome_text"]
    assert night.kafka.sent == []


def test_a_purchase_that_appeared_since_the_plan_is_success_and_nothing_is_replayed(
    repair: Repair, night: Night
) -> None:
    working(night)
    meanwhile(night, lambda: night.database.purchase(night.paid[0]))
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED"])
    assert night.kafka.sent == []


def test_what_can_not_be_read_again_is_not_replayed(repair: Repair, night: Night) -> None:
    working(night)

    def silent() -> None:
        raise Unreachable("the database did not answer within 3 s", system="database")

    meanwhile(night, silent)
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    assert (ran.code, outcomes(ran)) == (4, ["FAILED"])
    assert night.kafka.sent == []


@pytest.mark.parametrize(
    ("status", "code", "outcome"), [("refunded", 5, "CHANGED"), (None, 0, "SETTLED")], ids=["refunded", "allocated"]
)
def test_what_needs_no_announcement_any_more_is_not_announced(
    repair: Repair, night: Night, status: str | None, code: int, outcome: str
) -> None:
    night.kafka.send_states = [SendState.REJECTED]
    repair(night.ids[0], *APPLY)
    [made] = night.database.purchases

    def happens() -> None:
        if status is None:
            night.database.allocation(made, sessions=20)
        else:
            night.database.change(PaymentId(night.ids[0]), status=status)

    meanwhile(night, happens, readings_before=2)
    ran = repair(night.ids[0], *APPLY, "-o", "json")
    assert ran.document["data"][0]["action"] == "ANNOUNCE"
    assert (ran.code, outcomes(ran)) == (code, [outcome])
    assert night.announced() == []


def test_a_purchase_that_reads_back_inactive_stops_the_run(repair: Repair, night: Night, many: list[str]) -> None:
    sent = night.kafka.send

    def send(messages: Any) -> Any:
        results = sent(messages)
        night.database.purchases[:] = [replace(p, is_active=False) for p in night.database.purchases]
        return results

    night.kafka.send = send  # type: ignore[method-assign]
    ran = repair(*many, *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (6, ["UNVERIFIED"] + ["LEFT"] * 6)
    assert "is not active" in ran.document["data"][0]["outcome_text"]


def test_an_announcement_is_made_under_the_same_locks_as_the_insert(repair: Repair, night: Night) -> None:
    written = "00000000-0000-4000-8000-00030000000A"
    night.database.courses.add(written.lower())
    paid = night.pay(5, metadata={"courseId": written, "sessionCount": 20})
    keys: dict[str, set[int]] = {}
    insert, holding = night.database.insert, night.database.holding

    def inserting(orders: Sequence[Any], recheck: Any) -> Any:
        keys["insert"] = {key for order in orders for key in order.lock_keys}
        return insert(orders, recheck)

    def held(purchases: Sequence[Any]) -> Any:
        keys["announce"] = {key for purchase in purchases for key in purchase.lock_keys}
        return holding(purchases)

    night.database.insert, night.database.holding = inserting, held  # type: ignore[method-assign]
    assert repair(paid.id, *APPLY).code == 0
    assert keys["announce"] == keys["insert"]
    assert advisory_lock_key(paid.student_id, written) in keys["announce"]


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), Unreachable("down", system="kafka")])
def test_a_replay_of_which_nobody_knows_whether_it_was_sent_is_unknown(
    repair: Repair, night: Night, error: KcfixError
) -> None:
    working(night)

    def send(messages: Any) -> Any:
        raise error

    night.kafka.send = send  # type: ignore[method-assign]
    ran = repair(night.ids[0], *APPLY, "--wait", "1s", "-o", "json")
    known = isinstance(error, Unreachable)
    assert (ran.code, outcomes(ran)) == ((4, ["FAILED"]) if known else (6, ["UNSEEN"]))


def test_of_many_each_reason_is_told_once_with_how_many_it_is_true_of(
    repair: Repair, night: Night, many: list[str]
) -> None:
    unproven = night.pay(20, provider_payment_id="order_made_up").id
    person = night.pay(21, course=None).id
    dry = repair(*many, unproven, person)
    [insert] = [line for line in dry.lines if line.startswith("INSERT ")]
    assert insert.startswith("INSERT      8 NEVER_SENT: insert a purchase of tier 20: ")
    assert "  money     1 with unproven capture: the provider's dashboard tells" in dry.lines
    assert any(line.startswith("REFUSE      1 NO_COURSE: left alone: ") for line in dry.lines)
    assert "Planned: 8 INSERT, for 28,800.00 INR. Left alone: 1 REFUSE. Nothing was changed." in dry.lines
    done = repair(*many, unproven, person, *APPLY)
    assert "SETTLED     8 NEVER_SENT: inserted and announced" in done.lines
    assert any(line.startswith("REFUSED     1 NO_COURSE: left alone: ") for line in done.lines)
    assert "Applied: 8 SETTLED. Left alone: 1 REFUSE. Journal: run " in done.out


def test_a_payment_alone_needs_no_table(repair: Repair, night: Night) -> None:
    dry = repair(night.ids[0], "--utc")
    assert dry.lines[0] == f"{night.ids[0]}  NEVER_SENT  INSERT"
    assert dry.lines[1] == "  paid    3,600.00 INR, tier 20, 2026-01-15 11:31:00Z"
    assert "PAYMENT" not in dry.out
    assert repair(night.ids[0], *APPLY).lines[0] == f"{night.ids[0]}  NEVER_SENT  SETTLED"


def test_columns_of_which_nothing_is_known_are_left_out(repair: Repair) -> None:
    dry = repair("00000000-0000-4000-8000-0000000000ff", "nonsense")
    assert dry.lines[0].split() == ["PAYMENT", "VERDICT", "ACTION"]
    assert "1 of the ids given is no payment id." in dry.lines


def test_what_was_inserted_without_kafka_is_finished_by_a_plain_run(repair: Repair, night: Night) -> None:
    night.kafka.down = Unreachable("kafka did not answer within 3 s", system="kafka")
    ran = repair(night.ids[0], *APPLY, "--strategy", "insert", "--announce-later")
    assert ran.code == 6
    assert ran.lines[-1].strip() == f"kcfix repair {night.ids[0]}"
