"""The memory of `kcfix dlq` on a real broker does not grow with the dead letters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kcfix.adapters.kafka import open_kafka
from kcfix.core.events import Message
from kcfix.drill.down import down
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from kcfix.flow import Flow
from tests.real.test_missing_memory import MEASURED

FLOW = Flow()
FEW, MANY = 15_000, 75_000
COPIES = 3
GROWTH_KB = 24 * 1024
"""What 60,000 letters about 20,000 messages may take more: two caches of the store, of 8 MB each, and fuller pieces of
the log. Measured: 5 MB for the list, 16 MB for a replay that sorts."""

_PAID = """
INSERT INTO payments (id, student_id, amount_cents, status, provider_payment_id, metadata, confirmed_at)
SELECT md5('dlq payment ' || n)::uuid, md5('dlq student ' || n)::uuid, 360000, 'succeeded', 'pay_dlq_' || n,
       '{"courseId": "00000000-0000-4000-9000-000000000001", "sessionCount": 20}', now() - interval '1 day'
FROM generate_series(%(first)s::int, %(last)s::int) AS n ON CONFLICT DO NOTHING"""
_BOUGHT = """
INSERT INTO student_course_purchases (id, student_id, course_id, purchase_tier, is_active)
SELECT overlay(md5('dlq purchase ' || n) PLACING '4' FROM 13)::uuid, md5('dlq student ' || n)::uuid,
       '00000000-0000-4000-9000-000000000001', 20, true
FROM generate_series(%(first)s::int, %(last)s::int) AS n WHERE n %% 2 = 0"""


def letter(n: int, ids: tuple[str, str]) -> Message:
    """A dead letter of about a kilobyte about message n, which nobody finds in its topic."""
    payment, student = ids
    event = {
        "type": "PURCHASE_CONFIRMED",
        "paymentId": payment,
        "studentId": student,
        "courseId": "00000000-0000-4000-9000-000000000001",
        "metadata": {"sessionCount": 20, "purchaseTier": 20, "notes": "made up " * 50},
        "_metadata": {"eventId": payment, "correlationId": payment, "source": "payment-service", "version": "1.0.0"},
    }
    value = {
        "originalEvent": event,
        "originalTopic": FLOW.purchase_confirmed,
        "originalPartition": n % 3,
        "originalOffset": str(n),
        "failureReason": f"connect ECONNREFUSED 10.0.{n % 200}.{n % 250}:5432" if n % 5 else f"timeout after {n} ms",
        "failureTimestamp": 1768478400000,
        "attempts": 3,
        "correlationId": payment,
        "eventId": payment,
    }
    return Message(FLOW.dead_letters, payment.encode(), json.dumps(value).encode(), ())


def fill(drill: Drill, first: int, last: int) -> None:
    """Payments `first` to `last`, every other one with its purchase, each with three dead letters."""
    with psycopg.connect(drill.dsn, autocommit=True) as database:
        database.execute(_PAID, {"first": first, "last": last})
        database.execute(_BOUGHT, {"first": first, "last": last})
        database.execute("ANALYZE")
        query = "SELECT md5('dlq payment ' || n)::uuid::text, md5('dlq student ' || n)::uuid::text"
        rows = database.execute(
            f"{query} FROM generate_series(%s::int, %s::int) AS n".encode(), (first, last)
        ).fetchall()
    kafka = open_kafka(drill.brokers, address_map=drill.address_map)
    try:
        for start in range(0, len(rows), 5000):
            some = list(enumerate(rows[start : start + 5000], first + start))
            for _ in range(COPIES):
                assert {r.state for r in kafka.send([letter(n, ids) for n, ids in some])} == {"ACKNOWLEDGED"}
    finally:
        kafka.close()


@pytest.fixture(scope="module")
def quiet(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own: nobody else wants a hundred thousand dead letters."""
    name = f"letters-{os.getpid()}"
    try:
        yield up(Options(name=name), lambda _: None)
    finally:
        down(name)


def run(drill: Drill, folder: Path, *words: str) -> tuple[int, str, int]:
    """Exit code, output, and the peak of resident memory in kB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "-C", f"drill:{drill.name}", "dlq", *words],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "peak " in done.stderr, done.stderr
    return done.returncode, done.stdout, int(done.stderr.rsplit("peak ", 1)[1])


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_dead_letters(quiet: Drill, tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {"causes": [], "ids": [], "replay": []}
    made = 0
    for many in (FEW // COPIES, MANY // COPIES):
        fill(quiet, made + 1, many)
        made = many
        code, out, peak = run(quiet, tmp_path, "list", "-o", "json")
        summary = json.loads(out)["summary"]
        assert (code, len(json.loads(out)["data"])) == (1, 2)
        assert (summary["letters"], summary["messages"]) == (many * COPIES, many)
        assert (summary["unsettled"], summary["states"]["SETTLED"]) == (many // 2, many // 2)
        peaks["causes"].append(peak)
        code, out, peak = run(quiet, tmp_path, "list", "-q")
        assert (code, len(out.splitlines())) == (1, many // 2)
        peaks["ids"].append(peak)
        code, out, peak = run(quiet, tmp_path, "replay", "--since", "1d", "-o", "json")
        assert json.loads(out)["summary"]["left"]["SETTLED"] == many // 2
        peaks["replay"].append(peak)
    grown = {name: more - few for name, (few, more) in peaks.items()}
    assert max(grown.values()) < GROWTH_KB, peaks
