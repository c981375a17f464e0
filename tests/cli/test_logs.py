"""`kcfix logs` on containers in memory."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from kcfix.core.workers import DRILL_LABEL, PROJECT_LABEL, SERVICE_LABEL, Container, RawLine, Stream
from kcfix.errors import AccessDenied, Unreachable
from tests.conftest import NOW, Run
from tests.fakes_docker import FakeDocker, container, line
from tests.schemas import check_document, check_line

PAYMENT = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
PURCHASE, ALLOCATION = container("purchase-worker"), container("allocation-worker")
SESSION, CACHE = container("session-worker"), container("cache-worker")
ALL = (PURCHASE, ALLOCATION, SESSION, CACHE)


def at(second: float) -> datetime:
    return NOW - timedelta(minutes=10) + timedelta(seconds=second)


def app(box: Container, second: float, message: str, level: str = "info", **fields: object) -> RawLine:
    text = {"environment": "production", "level": level, "message": message, "service": box.service, **fields}
    return line(box.name, at(second), json.dumps(text, sort_keys=True, ensure_ascii=False))


def kafkajs(box: Container, second: float, message: str, level: str = "INFO", **fields: object) -> RawLine:
    text = {"level": level, "timestamp": "x", "logger": "kafkajs", "message": message, **fields}
    return line(box.name, at(second), json.dumps(text), Stream.STDERR if level == "ERROR" else Stream.STDOUT)


STORY = [
    app(PURCHASE, 1, "[PurchaseWorker] Initialized"),
    kafkajs(PURCHASE, 2, "[ConsumerGroup] Consumer has joined the group", memberAssignment={"purchase-confirmed": [0]}),
    app(PURCHASE, 3, "[PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka", topic="purchase-confirmed",
        partition=0, offset="7", correlationId=PAYMENT),
    app(PURCHASE, 4, "Transaction committed successfully Transaction committed successfully", paymentId=PAYMENT,
        purchaseId=OTHER, correlationId=PAYMENT),
    app(ALLOCATION, 3.5, "[AllocationWorker] Initialized"),
    app(ALLOCATION, 5, "Allocation failed Allocation failed", "error", error="no\ntrainer", errorCode="X1"),
    line(SESSION.name, at(6), "    at Object.<anonymous> (/app/[bold]x.js:1)", Stream.STDERR),
    line(CACHE.name, at(0), "\x1b]0;owned\x07\x1b[31mred\x1b[0m [/nonsense] {broken"),
]  # fmt: skip


def engine() -> FakeDocker:
    return FakeDocker.of(ALL, STORY)


def test_logs_of_all_workers_come_in_the_order_of_time(run: Run) -> None:
    ran = run("logs", "--utc", docker=engine())
    assert (ran.code, ran.err) == (0, "")
    assert [row[21:38].strip() for row in ran.lines] == [
        *("cache-worker", "purchase-worker", "purchase-worker", "purchase-worker"),
        *("allocation-worker", "purchase-worker", "allocation-worker", "session-worker"),
    ]


def test_a_line_is_made_readable(run: Run) -> None:
    lines = run("logs", "--utc", docker=engine()).lines
    assert lines[3] == (
        "2026-01-15 11:50:03Z purchase-worker   INFO  [PurchaseWorker] 📨 Received PURCHASE_CONFIRMED event from Kafka"
        f"  purchase-confirmed-0@7 correlation={PAYMENT}"
    )
    assert lines[5].endswith(f"INFO  Transaction committed successfully  payment={PAYMENT} purchase={OTHER}")
    assert lines[6].endswith("ERROR Allocation failed  error: X1: no")
    assert lines[2].endswith("joined the group  assigned=purchase-confirmed[0]")


@pytest.mark.parametrize("tty", [False, True])
def test_nothing_in_a_line_is_taken_as_markup_or_steers_the_terminal(run: Run, tty: bool) -> None:
    ran = run("logs", "--no-color", docker=engine(), tty=tty)
    assert "red [/nonsense] {broken" in ran.out
    assert "(/app/[bold]x.js:1)" in ran.out
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out


def test_on_a_terminal_errors_are_coloured_and_say_so_too(run: Run) -> None:
    ran = run("logs", "--errors", docker=engine(), tty=True)
    assert "\x1b[" in ran.out
    assert "ERROR" in ran.out


def test_a_worker_is_named_as_people_name_it(run: Run) -> None:
    for name in ("purchase-worker", "purchase", "kodingcaravan-purchase-worker"):
        ran = run("logs", name, "-q", docker=engine())
        assert (ran.code, len(ran.lines)) == (0, 4), name


def test_an_unknown_worker_is_not_found_and_the_near_one_named(run: Run) -> None:
    ran = run("logs", "purchse-worker", docker=engine())
    assert (ran.code, ran.out) == (3, "")
    assert "did you mean purchase-worker?" in ran.err


def test_a_worker_without_a_container_is_not_found(run: Run) -> None:
    ran = run("logs", "session", docker=FakeDocker.of([PURCHASE], STORY))
    assert ran.code == 3
    assert "session-worker has no container" in ran.err


def test_the_others_are_shown_when_one_worker_has_no_container(run: Run) -> None:
    ran = run("logs", docker=FakeDocker.of([PURCHASE], STORY))
    assert (ran.code, len(ran.lines)) == (0, 4)
    assert "warning: session-worker has no container" in ran.err
    assert "notification-worker" not in ran.err


def test_drills_are_left_alone_unless_their_project_is_asked_for(run: Run) -> None:
    labels = {PROJECT_LABEL: "kcfix-x", SERVICE_LABEL: "purchase-worker", DRILL_LABEL: "x"}
    drill = container(name="kcfix-x-purchase-worker", project="kcfix-x", labels=labels)
    docker = FakeDocker.of([drill], [app(drill, 1, "from the drill")])
    assert run("logs", docker=docker).code == 3
    assert run("logs", "-q", "--project", "kcfix-x", docker=docker).lines == ["from the drill"]


def test_replicas_go_by_the_names_of_their_containers(run: Run) -> None:
    second = container("purchase-worker", name="kodingcaravan-purchase-worker-2")
    docker = FakeDocker.of([PURCHASE, second], [app(PURCHASE, 1, "one"), app(second, 2, "two")])
    rows = [json.loads(text) for text in run("logs", "purchase", "-o", "jsonl", docker=docker).lines]
    assert [row["worker"] for row in rows] == [PURCHASE.name, second.name]


def test_the_newest_lines_of_each_worker(run: Run) -> None:
    ran = run("logs", "-n", "1", "-q", docker=engine())
    assert (
        ran.lines
        == [
            *("red [/nonsense] {broken", "Transaction committed successfully", "Allocation failed"),
            "at Object.<anonymous> (/app/[bold]x.js:1)",
        ]
        or len(ran.lines) == 4
    )
    assert run("logs", "-n", "0", docker=engine()).out == ""
    assert len(run("logs", "-n", "all", docker=engine()).lines) == len(STORY)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--since", "9m56s"], ["Transaction committed successfully", "Allocation failed", "    at"]),
        (["--until", "2026-01-15T11:50:01Z"], ["red", "[PurchaseWorker] Initialized"]),
        (["--grep", "initialized"], ["[PurchaseWorker] Initialized", "[AllocationWorker] Initialized"]),
        (["--grep", "initializeD"], []),
        (["--grep", r"7\b", "--grep", '"offset": "7"'], ["[PurchaseWorker] 📨"]),
        (["--errors"], ["Allocation failed", "    at"]),
        (["--payment", PAYMENT.upper()], ["[PurchaseWorker] 📨", "Transaction"]),
        (["--payment", OTHER], ["Transaction committed"]),
        (["--payment", PAYMENT, "-n", "1"], ["Transaction committed"]),
    ],
)
def test_lines_can_be_chosen(run: Run, arguments: list[str], messages: list[str]) -> None:
    ran = run("logs", "-q", *arguments, docker=engine())
    assert ran.code == 0
    assert len(ran.lines) == len(messages), ran.out
    assert all(text.startswith(start) for text, start in zip(ran.lines, messages, strict=True))


def test_a_choice_that_no_line_meets_is_told_beside_the_output(run: Run) -> None:
    ran = run("logs", "--grep", "no such words", docker=engine())
    assert (ran.code, ran.out) == (0, "")
    assert "no such line" in ran.err
    assert run("logs", "-q", "--grep", "no such words", docker=engine()).err == ""


def test_a_choice_looks_further_back_than_the_newest_lines(run: Run) -> None:
    noise = [app(PURCHASE, 10 + n / 100, f"line {n}") for n in range(2000)]
    ran = run("logs", "purchase", "--payment", PAYMENT, "-q", docker=FakeDocker.of(ALL, [*STORY, *noise]))
    assert len(ran.lines) == 2


def test_a_line_that_repeats_does_not_drown_the_rest(run: Run) -> None:
    noise = [app(PURCHASE, 10 + n / 8, "Redis connection error", "error", error="ENOTFOUND") for n in range(3000)]
    ran = run("logs", "purchase", "-n", "3", "--utc", docker=FakeDocker.of(ALL, [*STORY, *noise]))
    assert "📨 Received PURCHASE_CONFIRMED" in ran.lines[0]
    assert "(x3000 until 2026-01-15 11:56:24Z)" in ran.lines[2]
    raw = run("logs", "purchase", "-n", "3", "--raw", docker=FakeDocker.of(ALL, [*STORY, *noise]))
    assert raw.lines == [noise[0].text] * 3


def test_raw_lines_are_as_they_were_written(run: Run) -> None:
    ran = run("logs", "purchase", "--raw", docker=engine())
    assert ran.lines == [one.text for one in STORY[:4]]
    stamped = run("logs", "purchase", "--raw", "-t", "--utc", "-n", "1", docker=engine())
    assert stamped.out == f"2026-01-15T11:50:04.000000Z {STORY[3].text}\n"


def test_dockers_own_time_can_be_shown(run: Run) -> None:
    ran = run("logs", "allocation", "-t", "--utc", "-n", "1", docker=engine())
    assert ran.out.startswith("2026-01-15T11:50:05.000000Z allocation-worker ERROR")


def test_json_is_one_document_with_ids_and_without_the_rest(run: Run) -> None:
    secret = app(PURCHASE, 9, "m", studentName="somebody", phone="1", paymentId=PAYMENT, error="password=hunter22")
    ran = run("logs", "purchase", "-o", "json", docker=FakeDocker.of(ALL, [*STORY, secret]))
    assert ran.document["schema"] == "kcfix.logs/v1"
    row = ran.document["data"][-1]
    assert row["payment_id"] == PAYMENT
    assert set(row["fields"]) == {"paymentId", "error", "service"}
    assert "hunter22" not in ran.out
    received = ran.document["data"][2]
    assert (received["topic"], received["partition"], received["offset"]) == ("purchase-confirmed", 0, 7)
    assert (received["timestamp"], received["count"], received["until"]) == ("2026-01-15T11:50:03.000Z", 1, None)


def test_odd_numbers_and_half_characters_still_give_json(run: Run) -> None:
    odd = line(PURCHASE.name, at(9), '{"level":"info","message":"\\ud800m","offset":NaN,"duration":1e999}')
    ran = run("logs", "purchase", "-n", "1", "-o", "json", docker=FakeDocker.of([PURCHASE], [odd]))
    assert ran.code == 0
    assert ran.document["data"][0]["message"] == "m"


def test_csv_and_markdown_have_one_row_a_line(run: Run) -> None:
    assert len(run("logs", "purchase", "-o", "csv", docker=engine()).lines) == 5
    assert "| MESSAGE" in run("logs", "purchase", "-o", "markdown", docker=engine()).out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-n", "many"], 2),
        (["-n", "-1"], 2),
        (["--grep", "("], 2),
        (["--since", "soon"], 2),
        (["--since", "1m", "--until", "1h"], 2),
        (["-f", "--until", "1m"], 2),
        (["--milestones", "-f"], 2),
        (["--milestones", "--grep", "x"], 2),
        (["--payment", "12"], 3),
        (["--payment", "' OR 1=1"], 3),
        (["a b\x1b[31m"], 3),
    ],
)
def test_bad_input_is_told_in_one_line(run: Run, arguments: list[str], code: int) -> None:
    ran = run("logs", *arguments, docker=engine())
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("kcfix: ")
    assert "\x1b" not in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("error", [Unreachable("Docker did not answer", system="docker"), AccessDenied("no right")])
def test_docker_in_trouble_is_four(run: Run, error: Unreachable) -> None:
    ran = run("logs", docker=FakeDocker.of(ALL, failure=error))
    assert (ran.code, ran.out) == (4, "")
    assert error.message in ran.err
    document = run("logs", "-o", "json", docker=FakeDocker.of(ALL, failure=error)).document
    assert (document["ok"], document["errors"][0]["code"]) == (False, 4)


def test_one_log_that_cannot_be_read_does_not_hide_the_others(run: Run) -> None:
    docker = FakeDocker.of(ALL, STORY)
    docker.unreadable[PURCHASE.name] = Unreachable("log driver has no reading", system="docker")
    ran = run("logs", "-q", docker=docker)
    assert (ran.code, len(ran.lines)) == (4, 4)
    assert "log driver has no reading" in ran.err
    document = run("logs", "-o", "json", docker=docker).document
    assert (len(document["data"]), document["errors"][0]["kind"]) == (4, "unreachable")
    assert run("logs", "purchase", docker=docker).code == 4


def test_following_goes_on_over_a_restart_until_the_container_is_gone(run: Run) -> None:
    docker = FakeDocker.of([PURCHASE], STORY)
    later = [
        [app(PURCHASE, 20, "after the restart")],
        [app(PURCHASE, 30, "and after another"), app(PURCHASE, 30, "in the same microsecond")],
    ]

    def goes_on(box: Container) -> None:
        if later:
            docker.lines[box.name] += later.pop(0)
        else:
            docker.boxes.clear()

    docker.on_followed.append(goes_on)
    ran = run("logs", "-f", "-n", "1", "-q", "purchase", docker=docker)
    assert ran.lines == [
        *("Transaction committed successfully", "after the restart"),
        *("and after another", "in the same microsecond"),
    ]
    assert ran.code == 0


def test_an_engine_that_dies_under_a_followed_log_is_told(run: Run) -> None:
    docker = FakeDocker.of([PURCHASE], STORY)
    docker.on_followed.append(
        lambda box: setattr(docker, "failure", Unreachable("the engine is gone", system="docker"))
    )
    ran = run("logs", "-f", "-q", "purchase", docker=docker)
    assert (ran.code, len(ran.lines)) == (4, 4)
    assert "the engine is gone" in ran.err


def test_documents_and_streams_are_as_their_schemas_say(run: Run) -> None:
    check_document(run("logs", "-o", "json", "--raw", docker=engine()).document)
    check_document(run("logs", "--milestones", "-o", "json", docker=engine()).document)
    for text in run("logs", "-o", "jsonl", docker=engine()).lines:
        check_line(json.loads(text))


def test_a_followed_log_as_json_is_one_object_a_line(run: Run) -> None:
    docker = FakeDocker.of([PURCHASE], STORY)
    docker.on_followed.append(lambda box: docker.boxes.clear())
    ran = run("logs", "-f", "purchase", "-o", "json", docker=docker)
    rows = [json.loads(text) for text in ran.lines]
    assert {row["schema"] for row in rows} == {"kcfix.logs/v1"}
    assert len(rows) == 4


def test_milestones_tell_what_was_reached_and_where_one_looked(run: Run) -> None:
    ran = run("logs", "--milestones", "--utc", docker=engine())
    assert ran.code == 0
    assert "purchase-worker: 4 lines looked at since 2026-01-15 11:50:01Z" in ran.lines
    table = {text.split("  ")[0]: text for text in ran.lines[:12]}
    assert "2026-01-15 11:50:02Z" in table["joined the group"]
    assert "2026-01-15 11:50:04Z" in table["purchase committed"]
    assert "not seen in 4 lines" in table["PURCHASE_CREATED sent"]
    assert any(text.startswith(PAYMENT) and "received, purchase committed" in text for text in ran.lines)


def test_milestones_of_one_payment(run: Run) -> None:
    ran = run("logs", "--milestones", "--payment", OTHER, "-o", "json", docker=engine())
    rows = {(r["worker"], r["milestone"]): r for r in ran.document["data"] if r["payment_id"] is None}
    assert rows["purchase-worker", "COMMITTED"]["count"] == 0
    assert rows["purchase-worker", "JOINED"]["count"] == 1
    assert rows["purchase-worker", "COMMITTED"]["lines_looked_at"] == 4
    assert ran.document["schema"] == "kcfix.logs-milestones/v1"


def test_a_dead_consumer_is_a_milestone_of_its_own(run: Run) -> None:
    crash = kafkajs(PURCHASE, 50, "[Consumer] Crash: KafkaJSNonRetriableError: Unexpected end", "ERROR")
    docker = FakeDocker.of(ALL, [*STORY, crash])
    assert any(text.startswith("DEAD ") for text in run("logs", "--milestones", "purchase", docker=docker).lines)
    document = run("logs", "--milestones", "purchase", "-o", "json", docker=docker).document
    check_document(document)
    assert document["summary"]["dead_workers"] == ["purchase-worker"]
    assert [row["last_at"] for row in document["data"] if row["milestone"] == "DEAD"] == ["2026-01-15T11:50:50.000Z"]


def test_the_ids_of_the_milestones_are_the_payments(run: Run) -> None:
    assert run("logs", "--milestones", "-q", docker=engine()).lines == [PAYMENT]
