"""`kcfix missing` on fakes: what is shown, in which format, and the exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.core.missing import CHUNK
from kcfix.errors import Unreachable
from tests.conftest import NOW, Run
from tests.fakes_database import FakeDatabase
from tests.fakes_kafka import FakeKafka

MINUTE = timedelta(minutes=1)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(now=NOW)


def test_nothing_missing_ends_with_0(run: Run, database: FakeDatabase) -> None:
    database.allocation(database.purchase(database.payment(1)), sessions=20)
    ran = run("missing", database=database, kafka=FakeKafka(now=NOW))
    assert ran.code == 0, ran.err
    assert ran.lines == ["Nothing is missing.", "1 succeeded since 2026-01-14 12:00:00Z: 3,600.00 INR"]
    assert "next:" not in ran.out


def test_findings_come_oldest_first_with_totals_and_the_next_command(run: Run, database: FakeDatabase) -> None:
    young, old = database.payment(1, paid_at=NOW - 5 * MINUTE), database.payment(2, provider_payment_id="order_made_up")
    database.payment(3, paid_at=NOW - MINUTE / 2)
    ran = run("missing", database=database, kafka=FakeKafka(now=NOW), tty=True)
    assert ran.code == 1
    assert ran.out.index(old.id) < ran.out.index(young.id)
    assert "2 payments are not well: 7,200.00 INR" in ran.out.splitlines()[0]
    assert "2 for `kcfix repair`" in ran.out
    assert "1 in flight" in ran.out
    assert "1 with unproven capture" in ran.out
    assert "kcfix repair --missing\x1b" in ran.out


def test_quiet_prints_the_ids_and_nothing_else(run: Run, database: FakeDatabase) -> None:
    old, young = database.payment(2), database.payment(1, paid_at=NOW - 5 * MINUTE)
    ran = run("missing", "-q", database=database, kafka=FakeKafka(now=NOW))
    assert (ran.code, ran.out, ran.err) == (1, f"{old.id}\n{young.id}\n", "")


def test_json_keeps_its_shape_with_and_without_summary(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1, provider_payment_id="order_made_up")
    for more in ((), ("--summary",)):
        document = run("missing", "--json", *more, database=database, kafka=FakeKafka(now=NOW)).document
        assert [row["payment_id"] for row in document["data"]] == ([] if more else [paid.id])
        assert document["summary"]["verdicts"] == [
            {"verdict": "NEVER_EMITTED", "payments": 1, "amounts_minor": {"INR": 360000}}
        ]
        assert document["summary"]["complete"] is True
        assert document["summary"]["capture_unproven"] == 1


def test_a_stream_writes_each_finding_and_the_summary_last(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    ran = run("missing", "-o", "jsonl", database=database, kafka=FakeKafka(now=NOW))
    first, last = (json.loads(line) for line in ran.lines)
    assert (ran.code, first["payment_id"], last["summary"]["findings"]) == (1, paid.id, 1)


def test_the_window_is_from_since_to_before_until(run: Run, database: FakeDatabase) -> None:
    database.payment(1, paid_at=NOW - timedelta(hours=3))
    inside = database.payment(2, paid_at=NOW - timedelta(hours=2))
    database.payment(3, paid_at=NOW - timedelta(hours=1))
    ran = run("missing", "-q", "--since", "2h", "--until", "1h", database=database, kafka=FakeKafka(now=NOW))
    assert ran.lines == [inside.id]


@pytest.mark.parametrize("words", [("--since", "1h", "--until", "2h"), ("--since", "nonsense")])
def test_a_window_that_makes_no_sense_is_a_usage_error(
    run: Run, database: FakeDatabase, words: tuple[str, ...]
) -> None:
    assert run("missing", *words, database=database).code == 2


def test_a_silent_kafka_makes_them_unknown_and_not_well(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    ran = run("missing", "--json", database=database)
    assert ran.code == 1
    assert [(row["payment_id"], row["verdict"]) for row in ran.document["data"]] == [(paid.id, "UNKNOWN")]


@pytest.mark.parametrize("words", [(), ("-q",), ("--json",), ("-o", "jsonl"), ("--summary",)])
def test_a_silent_database_is_4_and_never_looks_like_none(run: Run, words: tuple[str, ...]) -> None:
    ran = run("missing", *words, kafka=FakeKafka(now=NOW))
    assert ran.code == 4


class DyingLate(FakeDatabase):
    """Falls silent at the second chunk of the pass."""

    def _called(self, name: str) -> None:
        if name == "facts" and self.calls.count("facts") == 1:
            self.down = Unreachable("database did not answer", system="database")
        super()._called(name)


@pytest.mark.parametrize("words", [(), ("-q",), ("--json",), ("-o", "jsonl")])
def test_a_database_that_dies_during_the_pass_is_said(run: Run, words: tuple[str, ...]) -> None:
    database = DyingLate(now=NOW)
    for n in range(CHUNK + 1):
        database.payment(n + 1)
    ran = run("missing", *words, database=database, kafka=FakeKafka(now=NOW))
    assert ran.code == 4
    if not words:
        assert "NOT THE WHOLE" in ran.out


def test_looking_changes_nothing(run: Run, database: FakeDatabase) -> None:
    database.payment(1)
    before = (list(database.payments), list(database.purchases))
    kafka = FakeKafka(now=NOW)
    run("missing", database=database, kafka=kafka)
    assert (database.payments, database.purchases) == before
    assert "insert" not in database.calls


def test_an_acknowledged_payment_is_counted_apart_until_it_is_taken_back(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    said = run("missing", "--ack", paid.id, "--reason", "paid back", "--json", **parts)
    assert said.code == 0, said.err
    assert [(row["verdict"], row["reason"]) for row in said.document["data"]] == [("NEVER_EMITTED", "paid back")]
    assert (run("missing", "-q", **parts).out, run("missing", "-q", **parts).code) == ("", 0)
    document = run("missing", "--json", **parts).document
    assert (document["data"], document["summary"]["acknowledged"]) == ([], 1)
    assert document["summary"]["acknowledged_amounts_minor"] == {"INR": 360000}
    shown = run("missing", "--json", "--all", **parts).document["data"]
    assert [(row["acknowledged"], row["acknowledgement"]["reason"]) for row in shown] == [(True, "paid back")]
    assert run("missing", "--acknowledged", "-q").out == f"{paid.id}\n"
    assert run("missing", "--unack", paid.id).code == 0
    assert run("missing", "-q", **parts).out == f"{paid.id}\n"


def test_an_acknowledgement_counts_only_for_its_verdict(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    run("missing", "--ack", paid.id, "--reason", "paid back", **parts)
    database.purchase(paid, tier=10)
    ran = run("missing", **parts)
    assert ran.code == 1
    assert "acknowledged as NEVER_EMITTED, is now WRONG_TIER" in ran.out


def test_what_is_settled_unknown_or_not_there_is_not_acknowledged(run: Run, database: FakeDatabase) -> None:
    paid, settled = database.payment(1), database.payment(2)
    database.allocation(database.purchase(settled), sessions=20)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    nobody = "00000000-0000-4000-8000-000199999999"
    assert run("missing", "--ack", settled.id, "--reason", "x", **parts).code == 5
    assert run("missing", "--ack", nobody, "--reason", "x", **parts).code == 3
    assert run("missing", "--ack", "nonsense", "--reason", "x", **parts).code == 3
    assert run("missing", "--unack", "nonsense").code == run("missing", "--unack", settled.id).code == 3
    assert run("missing", "--ack", paid.id, "--reason", "x", database=database).code == 4
    assert run("missing", "--ack", paid.id, **parts).code == 2
    assert run("missing", "--acknowledged", "-q").out == ""


def test_lines_that_can_not_be_read_are_passed_over_with_a_warning(
    run: Run, database: FakeDatabase, tmp_path: Path
) -> None:
    paid = database.payment(1)
    file = tmp_path / "shared.jsonl"
    file.write_text('{"payment_id": "torn')
    parts = {"database": database, "kafka": FakeKafka(now=NOW), "environ": {"KCFIX_ACKNOWLEDGEMENTS": str(file)}}
    assert run("missing", "--ack", paid.id, "--reason", "paid back", **parts).code == 0
    ran = run("missing", "-q", **parts)
    assert (ran.code, ran.out) == (0, "")
    assert "line 1 is no acknowledgement" in ran.err


def test_a_file_that_can_not_be_read_acknowledges_nothing_and_is_said(
    run: Run, database: FakeDatabase, tmp_path: Path
) -> None:
    paid = database.payment(1)
    environ = {"KCFIX_ACKNOWLEDGEMENTS": str(tmp_path)}
    ran = run("missing", "-q", database=database, kafka=FakeKafka(now=NOW), environ=environ)
    assert ran.out == f"{paid.id}\n"
    assert "nothing counts as acknowledged" in ran.err


def test_status_counts_an_acknowledged_payment_apart_too(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    run("missing", "--ack", paid.id, "--reason", "paid back", **parts)
    assert run("status", "-q", **parts).out == ""
    summary = run("status", "--json", **parts).document["summary"]
    assert (summary["payments_without_purchase"], summary["payments_acknowledged"]) == (0, 1)
    assert summary["acknowledged_amounts_minor"] == {"INR": 360000}


def test_repair_is_not_advised_where_it_would_do_nothing(run: Run, database: FakeDatabase) -> None:
    wrong = database.payment(1, tier=30)
    database.purchase(wrong, tier=10)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    out = run("missing", tty=True, **parts).out
    assert "kcfix repair" not in out
    assert f"kcfix trace {wrong.id}" in out
    lacking = database.payment(2)
    out = run("missing", tty=True, **parts).out
    assert f"kcfix repair {lacking.id}" in out
    assert "kcfix repair --missing\n" in run("missing", "--summary", **parts).out
    words = ("--since", "2026-01-15T10:00Z", "--until", "1s", "--older-than", "2m")
    chosen = "--since 2026-01-15T10:00:00.000Z --until 2026-01-15T11:59:59.000Z --older-than 2m"
    assert f"kcfix repair --missing {chosen}\n" in run("missing", "--summary", *words, **parts).out


def test_acknowledged_payments_are_in_no_next_command(run: Run, database: FakeDatabase) -> None:
    said, open_one = database.payment(1), database.payment(2)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    run("missing", "--ack", said.id, "--reason", "paid back", **parts)
    out = run("missing", "--all", tty=True, **parts).out
    steps = out.partition("next:")[2]
    assert f"kcfix repair {open_one.id}" in steps
    assert f"kcfix trace {open_one.id}" in steps
    assert said.id not in steps


def test_what_nobody_knows_is_counted_apart_with_its_reason(run: Run, database: FakeDatabase) -> None:
    database.payment(1)
    database.payment(2, course=None)
    kafka = FakeKafka(now=NOW)
    kafka.down = Unreachable("kafka:9092 did not answer within 3 s", system="kafka")
    ran = run("missing", database=database, kafka=kafka)
    assert ran.lines[0] == "1 payment is not well, and of 1 nobody knows: 7,200.00 INR"
    assert any(line.startswith("1 UNKNOWN: it has no purchase; what became of its message") for line in ran.lines)
    assert ran.lines[-1] == "  kcfix status"


def test_acknowledged_payments_are_said_where_nothing_else_is_missing(run: Run, database: FakeDatabase) -> None:
    paid = database.payment(1)
    parts = {"database": database, "kafka": FakeKafka(now=NOW)}
    assert run("missing", "--ack", paid.id, "--reason", "paid back", **parts).code == 0
    ran = run("missing", **parts)
    assert (ran.code, ran.lines[0]) == (0, "Nothing is missing, but for 1 acknowledged.")
