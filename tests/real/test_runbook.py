"""The runbook, typed as it stands, on a drill with the incident: every block runs, and the night ends well."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.faults import break_
from kcfix.drill.state import Drill, Options
from kcfix.drill.up import up
from tests.real.conftest import Kcfix, Ran, eventually

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
STEPS = re.compile(r"^##+ (?P<title>.+?)$|^```console\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each command of the page, with the heading that it stands under."""
    found, title = [], ""
    for match in STEPS.finditer(RUNBOOK.read_text(encoding="utf-8")):
        title = match["title"] or title
        for line in (match["block"] or "").splitlines():
            assert line.startswith("$ kcfix "), f"not a command of kcfix: {line}"
            found.append((title, line.removeprefix("$ ")))
    return found


@pytest.fixture(scope="module")
def system(own_state: Path | None) -> Iterator[Drill]:
    """A drill of this file's own, in which one payment went through."""
    name = f"runbook-{os.getpid()}"
    try:
        drill = up(Options(name=name), lambda _: None)
        buy(drill, 1, partition=0)
        eventually(lambda: purchases(drill) == [1])
        yield drill
    finally:
        down(name)


def purchases(drill: Drill) -> list[int]:
    """How many purchases each payment's student and course has, oldest payment first."""
    with psycopg.connect(drill.dsn) as database:
        rows = database.execute(
            """SELECT (SELECT count(*) FROM student_course_purchases s
                       WHERE s.student_id = p.student_id AND s.course_id::text = p.metadata ->> 'courseId')
               FROM payments p ORDER BY p.created_at"""
        ).fetchall()
    return [row[0] for row in rows]


def typed(kcfix: Kcfix, command: str) -> list[Ran]:
    """Runs the parts of a pipe one after the other."""
    ran: list[Ran] = []
    for part in command.split(" | "):
        words = shlex.split(part)
        assert words[0] == "kcfix"
        ran.append(kcfix(*words[1:], stdin=ran[-1].out if ran else ""))
    return ran


def test_the_night_as_the_runbook_has_it_ends_with_one_purchase_for_every_payment(
    system: Drill, tmp_path: Path
) -> None:
    break_(system, "worker-stopped")
    for partition in range(3):
        buy(system, 1, partition=partition)
    (unsent,) = buy(system, 1, unsent=True)
    time.sleep(3)
    kcfix = Kcfix(tmp_path, None, {"KCFIX_CONTEXT": f"drill:{system.name}", "KCFIX_OVERDUE": "2s"})
    codes: dict[str, list[int]] = {}
    for title, command in commands():
        for ran in typed(kcfix, command.replace("PAYMENT_ID", unsent)):
            told = f"{title}: {command}\n{ran.out}\n{ran.err}"
            assert ran.code in (0, 1), told
            assert "Traceback" not in ran.err, told
            codes.setdefault(title, []).append(ran.code)
    assert codes["1. What is wrong?"] == [1, 1]
    assert codes["5. Repair"] == [0]
    assert codes["6. Bring the worker back"] == [0]
    assert codes["7. Is it over?"] == [0, 0]
    assert purchases(system) == [1] * 5


def test_every_old_command_of_the_table_has_a_block() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    titles = {title for title, _ in commands()}
    for old in ("docker ps", "docker logs", "kafka-topics", "kafka-consumer-groups", "docker-compose restart"):
        assert f"| `{old}" in text
        assert old in titles
