"""`kcfix probe` on fakes: where it may, what it leaves, what a killed one leaves, and that --passive only reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.events import Message, own_event_id, parse_value
from kcfix.core.ports.database import InsertResult, ProbeOrder
from kcfix.core.ports.kafka import SendResult, SendState
from kcfix.core.probe import MARK, PROVIDER
from kcfix.errors import Unreachable
from tests.conftest import NOW, Ran, Run
from tests.fakes_database import FakeDatabase, student_id
from tests.fakes_kafka import FakeKafka
from tests.system import FLOW, System

CONTEXT = """[contexts.trial]
brokers = ["127.0.0.1:1"]
dsn = "postgresql://u@127.0.0.1:1/kc_app"
allow_other_system = true
probe = true
"""
APPLY = ("-C", "trial", "probe", "--apply", "--yes", "--wait", "0s")


class Database(FakeDatabase):
    """The database of a system whose workers settle a probe at once, if they are told to."""

    quick = True
    orders: list[ProbeOrder]
    killed = ""

    def probe(self, order: ProbeOrder) -> InsertResult:
        self.orders.append(order)
        if self.killed == "before":
            raise KeyboardInterrupt
        result = super().probe(order)
        if self.killed == "after":
            raise KeyboardInterrupt
        if self.quick and self.payments and self.payments[-1].id == order.payment_id:
            self.settle()
        return result

    def settle(self) -> None:
        """The workers have handled the newest payment."""
        purchase = self.purchase(self.payments[-1])
        self.allocation(purchase, sessions=10)


class Kafka(FakeKafka):
    """A broker during whose send kcfix can be killed."""

    killed = ""

    def send(self, messages: Sequence[Message]) -> tuple[SendResult, ...]:
        if self.killed == "before":
            raise KeyboardInterrupt
        results = super().send(messages)
        if self.killed == "after":
            raise KeyboardInterrupt
        return results


@pytest.fixture
def system() -> System:
    made = System()
    made.database = Database(now=NOW)
    made.database.orders = []
    kafka = Kafka(now=NOW)
    kafka.__dict__.update(made.kafka.__dict__)
    made.kafka = kafka
    return made


@pytest.fixture
def probe(run: Run, tmp_path: Path, system: System) -> Any:
    """Run a command line in a system whose context `trial` says what `context` holds."""

    def call(*argv: str, context: str = CONTEXT, **more: Any) -> Ran:
        file = tmp_path / "home" / ".config" / "kcfix" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(context)
        return run(*argv, **{**system.parts, **more})

    return call


def made(system: System) -> list[ProbeOrder]:
    return system.database.orders  # type: ignore[attr-defined, no-any-return]


def test_a_probe_comes_through_and_says_what_it_left(probe: Any, system: System) -> None:
    ran = probe(*APPLY, "--reason", "after the restart")
    assert ran.code == 0, ran.err
    (order,) = made(system)
    assert order.payment_id.startswith(MARK)
    assert order.provider == PROVIDER
    (message,) = system.kafka.sent
    event = parse_value(message.value)
    assert event is not None
    assert (message.topic, message.key) == (FLOW.purchase_confirmed, order.payment_id.encode())
    assert (event.event_id, event.payment_id) == (own_event_id(order.payment_id), order.payment_id)
    assert f"the probe {order.payment_id} came through to its sessions" in ran.out
    for left in ("left behind", "student", "which holds a trainer's slot, 10 sessions", "message purchase-confirmed-"):
        assert left in ran.out
    assert "allocates a trainer and sends notifications like any other" in ran.err
    stages = {line.split()[0]: line.split()[1] for line in ran.lines if line[:1].isupper()}
    assert (stages["PAYMENT"], stages["PURCHASE"], stages["ALLOCATION"], stages["SESSIONS"]) == ("DONE",) * 4


def test_as_json_it_has_the_stages_and_what_is_left(probe: Any, system: System) -> None:
    document = probe(*APPLY, "--json").document
    (order,) = made(system)
    summary = document["summary"]
    assert [row["stage"] for row in document["data"]][:3] == ["PAYMENT", "EVENT", "PURCHASE"]
    assert (summary["mode"], summary["came_through"], summary["payment_id"]) == ("probe", True, order.payment_id)
    assert any(order.payment_id in left for left in summary["left_behind"])
    assert summary["run_id"]


def test_a_dry_run_writes_nothing_and_says_what_it_would_do(probe: Any, system: System) -> None:
    ran = probe("-C", "trial", "probe")
    assert ran.code == 0
    assert "allocates a trainer and sends notifications like any other" in ran.out
    assert "no earlier probe is there" in ran.out
    assert ran.lines[-1] == "  kcfix -C trial probe --apply"
    assert (made(system), system.kafka.sent) == ([], [])


@pytest.mark.parametrize(
    ("context", "argv", "environ"),
    [
        (CONTEXT.replace("probe = true\n", ""), (), {}),
        (CONTEXT.replace("probe = true\n", ""), (), {"KCFIX_PROBE": "true"}),
        (CONTEXT.replace("probe = true", "probe = false"), (), {"KCFIX_PROBE": "true"}),
        (CONTEXT, (), {"KCFIX_PROBE": "false"}),
        (CONTEXT, ("--brokers", "production.example:9092"), {}),
        (CONTEXT, ("--dsn", "postgresql://production.example/kc_app"), {}),
        (CONTEXT, (), {"KCFIX_DSN": "postgresql://production.example/kc_app"}),
        ("[contexts.trial]\nprobe = true\n", (), {}),
    ],
)
def test_nothing_is_made_up_where_no_file_says_so_of_this_very_system(
    probe: Any, system: System, context: str, argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    ran = probe(*APPLY, *argv, context=context, environ=environ)
    assert ran.code == 5, ran.err
    assert "--passive" in ran.err
    assert (made(system), system.kafka.sent) == ([], [])


def test_the_top_of_a_file_with_stray_addresses_in_the_environment_allows_nothing(probe: Any, system: System) -> None:
    stray = {"DATABASE_URL": "postgresql://production.example/kc_app", "KAFKA_BROKERS": "production.example:9092"}
    assert probe(*APPLY[2:], context="probe = true\n", environ=stray).code == 5
    assert made(system) == []


def test_a_file_beside_it_can_not_give_the_leave_for_addresses_of_another(
    probe: Any, system: System, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work" / "kcfix.toml").write_text("[contexts.trial]\nprobe = true\n")
    assert probe(*APPLY, context=CONTEXT.replace("probe = true\n", "")).code == 5
    assert made(system) == []


def test_a_variable_that_would_allow_it_is_told_to_be_in_vain(probe: Any) -> None:
    ran = probe(
        "-C", "trial", "config", "show",
        context=CONTEXT.replace("probe = true\n", ""), environ={"KCFIX_PROBE": "true"},
    )  # fmt: skip
    assert "KCFIX_PROBE is not followed" in ran.err


def test_one_that_has_not_come_through_is_6_and_the_next_run_lists_it(probe: Any, system: System) -> None:
    system.database.quick = False  # type: ignore[attr-defined]
    ran = probe(*APPLY)
    assert ran.code == 6
    (order,) = made(system)
    assert "has not come through" in ran.out
    assert f"kcfix -C trial trace {order.payment_id}" in ran.out
    again = probe("-C", "trial", "probe")
    assert "1 earlier probes: 0 came through, 1 did not" in again.out
    assert order.payment_id in again.out


@pytest.mark.parametrize(
    ("database", "kafka", "left", "sent"),
    [("before", "", 0, 0), ("after", "", 1, 0), ("", "before", 1, 0), ("", "after", 1, 1)],
)
def test_killed_at_any_instant_the_next_run_tells_what_was_left(
    probe: Any, system: System, database: str, kafka: str, left: int, sent: int
) -> None:
    system.database.quick = False  # type: ignore[attr-defined]
    system.database.killed, system.kafka.killed = database, kafka  # type: ignore[attr-defined]
    assert probe(*APPLY).code == 130
    assert (len(system.database.payments), len(system.kafka.sent)) == (left, sent)
    system.database.killed = system.kafka.killed = ""  # type: ignore[attr-defined]
    ran = probe("-C", "trial", "probe", "--json")
    earlier = ran.document["summary"]["earlier_probes"]
    assert [e["payment_id"] for e in earlier] == [order.payment_id for order in made(system)][:left]
    if left:
        assert f"kcfix -C trial repair {earlier[0]['payment_id']}" in probe("-C", "trial", "probe").out
    history = probe("-C", "trial", "history", "--json").document["data"]
    assert history[0]["command"] == "probe"


def test_a_broker_that_does_not_take_the_event_is_said_and_6(probe: Any, system: System) -> None:
    system.database.quick = False  # type: ignore[attr-defined]
    system.kafka.send_states.append(SendState.REJECTED)
    ran = probe(*APPLY)
    assert ran.code == 6
    assert "its event was not taken by the broker" in ran.out


def test_a_commit_that_was_not_answered_is_6_and_told(probe: Any, system: System) -> None:
    system.database.quick = False  # type: ignore[attr-defined]
    system.database.lost_commit = "made"
    ran = probe(*APPLY)
    assert ran.code == 6
    assert "is not known" in ran.err
    assert system.kafka.sent == []
    system.database.lost_commit = None
    assert "1 earlier probes" in probe("-C", "trial", "probe").out


@pytest.mark.parametrize("dead", ["kafka", "database"])
def test_with_a_silent_system_nothing_is_written(probe: Any, system: System, dead: str) -> None:
    getattr(system, dead).down = Unreachable("gone", system=dead)
    assert probe(*APPLY).code == 4
    assert probe(*APPLY[:3]).code == 4
    assert (made(system), system.kafka.sent) == ([], [])


@pytest.mark.parametrize("argv", [APPLY, APPLY[:3]])
def test_without_the_topic_of_its_event_nothing_is_written(probe: Any, system: System, argv: tuple[str, ...]) -> None:
    system.kafka.remove_topic("purchase-confirmed")
    ran = probe(*argv)
    assert ran.code == 5
    assert "topic purchase-confirmed is not there, or not shown to this login" in ran.err
    assert (made(system), system.kafka.sent) == ([], [])


def test_a_student_who_has_the_course_is_refused(probe: Any, system: System) -> None:
    payment = system.database.payment(1)
    system.database.purchase(payment)
    ran = probe(*APPLY, "--student", student_id(1), "--course", str(payment.course_id))
    assert ran.code == 5
    assert "swallows it" in ran.err
    assert system.kafka.sent == []


def test_a_person_is_asked_and_may_decline(probe: Any, system: System) -> None:
    assert probe("-C", "trial", "probe", "--apply", tty=True, stdin="n\n").code == 5
    assert probe("-C", "trial", "probe", "--apply").code == 5
    assert made(system) == []


def test_a_protected_context_wants_a_reason_and_its_name(probe: Any, system: System) -> None:
    protected = CONTEXT + "protected = true\n"
    assert probe(*APPLY, context=protected).code == 5
    assert probe(*APPLY, "--reason", "why", context=protected).code == 5
    assert made(system) == []
    assert probe(*APPLY, "--reason", "why", "--confirm", "trial", context=protected).code == 0


def test_passive_follows_the_next_payment_and_changes_nothing(probe: Any, system: System) -> None:
    system.database.payment(1, paid_at=NOW - timedelta(hours=1))
    payment = system.database.payment(2, student=2, paid_at=NOW + timedelta(seconds=1))
    system.database.allocation(system.database.purchase(payment), sessions=20)
    ran = probe("probe", "--passive", "--wait", "0s", "--json", context="")
    assert ran.code == 0, ran.err
    assert (ran.document["summary"]["mode"], ran.document["summary"]["payment_id"]) == ("passive", payment.id)
    assert ran.document["summary"]["left_behind"] == []
    assert (made(system), system.kafka.sent, system.kafka.commits) == ([], [], [])
    assert not {"insert", "delete", "holding", "probe"} & set(system.database.calls)


def test_passive_says_when_none_came_and_when_one_is_stuck(probe: Any, system: System) -> None:
    none = probe("probe", "--passive", "--wait", "0s", context="")
    assert (none.code, "no payment succeeded within 0s" in none.out) == (1, True)
    system.database.payment(2, paid_at=NOW + timedelta(seconds=1))
    stuck = probe("probe", "--passive", "--wait", "0s", context="")
    assert (stuck.code, "has not come through" in stuck.out) == (1, True)
    system.database.down = Unreachable("gone", system="database")
    assert probe("probe", "--passive", "--wait", "0s", context="").code == 4


@pytest.mark.parametrize(
    "argv",
    [
        ("--passive", "--apply"),
        ("--passive", "--reason", "x"),
        ("--apply", "--dry-run"),
        ("--tier", "12"),
        ("--course", "no-uuid"),
        ("--wait", "soon"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(probe: Any, argv: tuple[str, ...]) -> None:
    assert probe("-C", "trial", "probe", *argv).code == 2


def test_undo_says_that_it_takes_nothing_of_a_probe_back(probe: Any, system: System) -> None:
    run_id = probe(*APPLY, "--json").document["summary"]["run_id"]
    ran = probe("-C", "trial", "undo", run_id)
    assert (ran.code, "Nothing of this run can be undone" in ran.out) == (0, True)
    assert (len(system.database.payments), len(system.database.purchases)) == (1, 1)
