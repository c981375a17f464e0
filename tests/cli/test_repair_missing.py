"""`kcfix repair --missing`: everything that `kcfix missing` finds, but what a person has judged."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from kcfix.errors import Unreachable
from tests.cli.night import APPLY, Night, outcomes
from tests.conftest import NOW, Ran, Run

Repair = Callable[..., Ran]


def rows(ran: Ran) -> list[tuple[str, str]]:
    """Payment and action of each row."""
    return [(row["payment_id"], row["action"]) for row in ran.document["data"]]


def test_all_that_is_missing_is_repaired_and_nothing_else(repair: Repair, night: Night) -> None:
    fine = night.pay(5, minutes=90)
    night.database.allocation(night.database.purchase(fine), sessions=20)
    night.pay(6, minutes=0.2)
    dry = repair("--missing", "-o", "json")
    assert rows(dry) == [(i, "INSERT") for i in night.ids]
    ran = repair("--missing", *APPLY, "-o", "json")
    assert (ran.code, outcomes(ran)) == (0, ["SETTLED", "SETTLED"])
    assert repair("--missing", "-o", "json").document["data"] == []


def test_the_window_chooses(repair: Repair, night: Night) -> None:
    night.pay(5, minutes=60 * 30)
    assert len(rows(repair("--missing", "-o", "json"))) == 2
    assert len(rows(repair("--missing", "--since", "48h", "-o", "json"))) == 3
    assert len(rows(repair("--missing", "--since", "48h", "--until", "24h", "-o", "json"))) == 1
    assert repair("--missing", "--since", "1h", "--until", "2h").code == 2


def test_what_a_person_has_judged_is_left_out(repair: Repair, run: Run, night: Night) -> None:
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    acked = run("missing", "--ack", night.ids[0], "--reason", "paid back", **systems)
    assert acked.code == 0, acked.err
    assert rows(repair("--missing", "-o", "json")) == [(night.ids[1], "INSERT")]


def test_where_it_is_not_known_what_a_person_has_judged_nothing_is_repaired(
    repair: Repair, night: Night, tmp_path: Path
) -> None:
    file = tmp_path / "acknowledged.jsonl"
    file.write_text("torn\n")
    ran = repair("--missing", *APPLY, environ={"KCFIX_ACKNOWLEDGEMENTS": str(file)})
    assert ran.code == 5
    assert "acknowledged" in ran.err
    assert night.database.purchases == []


def test_a_silent_database_is_no_empty_list(repair: Repair, night: Night) -> None:
    night.database.down = Unreachable("database did not answer within 3 s", system="database")
    assert repair("--missing", *APPLY).code == 4


def test_the_next_command_of_many_names_the_window(repair: Repair, night: Night) -> None:
    night.paid += [night.pay(n, minutes=60) for n in range(3, 30)]
    last = repair("--missing", "--since", "2026-01-15T00:00:00Z").lines[-1].strip()
    assert last == "kcfix repair --missing --since 2026-01-15T00:00:00.000Z --apply"


def test_the_window_counts_by_the_databases_clock_as_that_of_missing_does(
    repair: Repair, run: Run, night: Night
) -> None:
    systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    late = NOW + timedelta(hours=3)  # this host's clock, three hours ahead of the database's
    found = run("missing", "-q", "--since", "29m", now=late, **systems)
    assert found.lines == [night.ids[0], night.ids[1]]
    assert [i for i, _ in rows(repair("--missing", "--since", "29m", "-o", "json", now=late))] == found.lines
    assert repair("--missing", "--since", "nonsense").code == 2


def test_the_line_of_cron_in_the_runbook_repairs_a_few_and_leaves_the_young(repair: Repair, night: Night) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
    block = text.partition("```crontab\n")[2].partition("\n```")[0]
    words = shlex.split(block)
    assert words[5:7] == ["kcfix", "repair"]
    night.pay(5, minutes=9)
    night.paid += [night.pay(n, minutes=60) for n in range(6, 10)]
    ran = repair(*words[7:], "-o", "json")
    assert (ran.code, sorted(outcomes(ran))) == (6, ["LEFT"] + ["SETTLED"] * 5)
    assert (repair(*words[7:]).code, repair(*words[7:]).code) == (0, 0)
    assert len(night.database.purchases) == 6
