"""`kcfix history`, and the journal that it reads."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kcfix.adapters.journal_file import open_journal
from kcfix.core.journal import Journal
from kcfix.errors import Refused
from tests.conftest import NOW, Run


def journal_in(folder: Path, start: datetime = NOW, **environ: str) -> Journal:
    ticks = iter(range(1000))
    return open_journal(
        folder,
        environ={"KCFIX_USER": "operator", **environ},
        now=lambda: start + timedelta(seconds=next(ticks)),
        secrets=lambda: frozenset({"hunter2hunter2"}),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".local" / "state" / "kcfix" / "journal"


def begin(journal: Journal, *argv: str):  # type: ignore[no-untyped-def]
    return journal.begin(command="repair", context="default", argv=argv or ("repair", "--apply"), reason="paid twice")


def test_history_without_any_change_says_so(run: Run) -> None:
    ran = run("history")
    assert (ran.code, ran.out, ran.err) == (0, "no run has changed anything\n", "")


def test_a_journal_that_is_no_folder_is_not_taken_for_an_empty_one(run: Run, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    ran = run("history")
    assert (ran.code, ran.out) == (4, "")
    assert "can't read the journal" in ran.err


def test_a_step_is_on_disk_before_intend_returns(folder: Path) -> None:
    record = begin(journal_in(folder))
    step = record.intend({"step": "insert", "payment_id": "00000000-0000-4000-8000-000000000001"})
    lines = [json.loads(line) for line in (folder / "2026-01.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["begin", "intend"]
    assert lines[1]["step"] == step
    assert lines[1]["what"]["payment_id"] == "00000000-0000-4000-8000-000000000001"
    record.end(0)


def test_history_lists_the_newest_run_first_and_an_unfinished_one_as_such(run: Run, folder: Path) -> None:
    journal = journal_in(folder)
    first = begin(journal)
    first.end(0, {"inserted": 1})
    second = begin(journal)
    second.intend({"step": "insert"})
    ran = run("history", "-o", "json")
    assert ran.code == 0
    rows = ran.document["data"]
    assert [row["run"] for row in rows] == [second.id, first.id]
    assert [row["finished"] for row in rows] == [False, True]
    assert rows[1]["exit_code"] == 0
    assert rows[1]["summary"] == {"inserted": 1}
    assert rows[0]["who"].startswith("operator@")
    assert "UNFINISHED" in run("history").out
    second.end(6)


def test_history_shows_one_run_by_the_beginning_of_its_id(run: Run, folder: Path) -> None:
    record = begin(journal_in(folder))
    done = record.intend({"step": "insert", "tier": 10})
    record.done(done, {"state": "INSERTED"})
    record.intend({"step": "send"})
    record.end(6)
    ran = run("history", record.id[:20])
    assert ran.code == 0
    assert any(line.split()[3:] == ["insert", "-", "tier=10", "INSERTED"] for line in ran.lines), ran.out
    assert "not recorded" in ran.out
    assert "paid twice" in ran.out
    row = run("history", record.id, "--json").document["data"][0]
    assert [step["result"] for step in row["step_list"]] == [{"state": "INSERTED"}, None]


def test_an_unknown_run_is_not_found(run: Run) -> None:
    ran = run("history", "2020")
    assert ran.code == 3
    assert ran.err.startswith("kcfix: no run '2020' in the journal\n")


def test_no_secret_reaches_the_journal(folder: Path) -> None:
    record = begin(journal_in(folder), "repair", "--dsn", "postgresql://u:s3cr3tword@db/kc")
    record.intend({"step": "insert", "note": "hunter2hunter2", "password": "abcdefgh"})
    record.end(0)
    text = (folder / "2026-01.jsonl").read_text()
    assert "postgresql://u:***@db/kc" in text
    for secret in ("s3cr3tword", "hunter2hunter2", "abcdefgh"):
        assert secret not in text


def test_a_torn_line_is_closed_off_and_passed_over(run: Run, folder: Path) -> None:
    first = begin(journal_in(folder))
    first.end(0)
    with (folder / "2026-01.jsonl").open("a") as file:
        file.write('{"kind": "begin", "run": "to')
    second = begin(journal_in(folder))
    second.end(0)
    assert {row["run"] for row in run("history", "--json").document["data"]} == {first.id, second.id}


def test_only_the_owner_can_read_the_journal(folder: Path) -> None:
    begin(journal_in(folder)).end(0)
    assert (folder.stat().st_mode & 0o777, (folder / "2026-01.jsonl").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_journal_that_can_not_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="without it nothing is changed"):
        begin(journal_in(tmp_path / "file" / "journal"))


def test_a_full_disk_refuses_the_step_and_warns_of_a_lost_result() -> None:
    """/dev/full takes no byte, as a full disk does."""
    from kcfix.adapters.journal_file import RunInFile

    handle = os.open("/dev/full", os.O_RDWR)
    record = RunInFile("r", Path("/dev/full"), handle, lambda: NOW, frozenset)
    with pytest.raises(Refused, match="No space left"):
        record.intend({"step": "insert"})
    record.done("1", {})
    assert "lacks a 'done' line" in record.problems[0]
    record.close()


def test_what_could_not_be_recorded_is_a_warning_of_the_run(run: Run, folder: Path) -> None:
    class Lame:
        problems = ("the journal lacks a line",)

        def runs(self) -> tuple[object, ...]:
            return ()

    assert run("history", journal=Lame()).err == "kcfix: warning: the journal lacks a line\n"


def test_two_writers_share_a_file_without_tearing_each_other(folder: Path) -> None:
    one, two = begin(journal_in(folder)), begin(journal_in(folder))
    for _ in range(20):
        one.done(one.intend({"by": "one"}), {})
        two.done(two.intend({"by": "two"}), {})
    one.end(0)
    two.end(0)
    runs = {record.id: record for record in journal_in(folder).runs()}
    assert [len(runs[r.id].steps) for r in (one, two)] == [20, 20]


def test_steps_about_a_payment_are_found_in_whatever_file_names_it(folder: Path) -> None:
    asked, other = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
    for month, text in ((1, asked), (2, other), (3, asked.upper()), (4, "")):
        record = begin(journal_in(folder, NOW.replace(month=month)))
        record.done(record.intend({"step": "insert", "payment_id": text}), {})
        record.end(0)
    (folder / "2025-12.jsonl").write_text("")  # as left by a machine that went down before its first line
    journal = journal_in(folder)

    found = [run for run in journal.runs({asked}) if run.steps]
    assert [run.started_at.month for run in found if run.started_at] == [3, 1]
    assert [len(run.steps) for run in found] == [1, 1]
    many = {asked, *(f"00000000-0000-4000-8000-{i:012d}" for i in range(100))}
    assert [run for run in journal.runs(many) if run.steps] == found
    assert len(journal.runs()) == 4
