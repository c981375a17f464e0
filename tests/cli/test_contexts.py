"""`kcfix context list`: which contexts there are, which is in force, and what their files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Ran, Run

PROJECT = """
brokers = ["near:9092"]
[contexts.prod]
brokers = ["kafka.example:9092"]
dsn = "postgresql://kcfix:made-up-word@db.example:5432/kc_app"
project = "kc-backend"
protected = true
"""
USER = '[contexts.stage]\nbrokers = "stage.example:9092"\ndocker_host = "tcp://stage.example:2376"\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "kcfix.toml").write_text(PROJECT)
    (tmp_path / "home" / ".config" / "kcfix").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "kcfix" / "config.toml").write_text(USER)
    drill = tmp_path / "home" / ".local" / "state" / "kcfix" / "drill"
    for name, port in (("drill", 1), ("night", 2)):
        (drill / name).mkdir(parents=True)
        (drill / name / "context.toml").write_text(f'brokers = ["127.0.0.1:{port}"]\nprobe = true\n')
    return tmp_path


def rows(ran: Ran) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in ran.document["data"]}


def test_every_context_of_files_and_drills_is_listed_without_a_password(run: Run, files: Path) -> None:
    ran = run("context", "list", "-o", "json")
    assert ran.code == 0
    found = rows(ran)
    assert list(found) == ["default", "prod", "stage", "drill", "drill:night"]
    assert found["default"]["brokers"] == ["near:9092"]
    assert (found["prod"]["database"], found["prod"]["protected"]) == ("db.example:5432/kc_app", True)
    assert found["stage"]["docker_host"] == "tcp://stage.example:2376"
    assert found["drill:night"]["brokers"] == ["127.0.0.1:2"]
    assert str(found["prod"]["where"]).endswith("kcfix.toml [contexts.prod]")
    assert "made-up-word" not in ran.out + run("context", "list").out


@pytest.mark.parametrize(
    ("argv", "environ", "top", "chosen", "by"),
    [
        ((), {}, "", "default", "no other was chosen"),
        (("-C", "prod"), {"KCFIX_CONTEXT": "stage"}, "", "prod", "-C"),
        ((), {"KCFIX_CONTEXT": "stage"}, 'default_context = "prod"\n', "stage", "KCFIX_CONTEXT"),
        ((), {}, 'default_context = "prod"\n', "prod", "default_context in"),
    ],
)
def test_the_one_in_force_is_told_with_what_chose_it(
    run: Run, files: Path, argv: tuple[str, ...], environ: dict[str, str], top: str, chosen: str, by: str
) -> None:
    (files / "work" / "kcfix.toml").write_text(top + PROJECT)
    ran = run(*argv, "context", "list", "-o", "json", environ=environ)
    assert [name for name, row in rows(ran).items() if row["in_force"]] == [chosen]
    assert ran.document["summary"]["in_force"] == chosen
    assert ran.document["summary"]["chosen_by"].startswith(by)


def test_variables_change_nothing_in_the_list(run: Run, files: Path) -> None:
    stray = {"KCFIX_BROKERS": "stray:1", "KAFKA_BROKERS": "stray:2", "KCFIX_PROTECTED": "false"}
    found = rows(run("context", "list", "-o", "json", environ=stray))
    assert found["prod"]["brokers"] == ["kafka.example:9092"]
    assert found["prod"]["protected"] is True


def test_quiet_prints_the_names(run: Run, files: Path) -> None:
    assert run("context", "list", "-q").lines == ["default", "prod", "stage", "drill", "drill:night"]


def test_one_that_can_not_be_read_is_a_row_and_an_error(run: Run, files: Path) -> None:
    (files / "work" / "kcfix.toml").write_text('[contexts.bad]\ntimeout = "soon"\n')
    ran = run("context", "list", "-o", "json")
    assert ran.code == 2
    assert rows(ran)["bad"]["protected"] is None
    assert rows(ran)["stage"]["brokers"] == ["stage.example:9092"]
    assert "timeout" in ran.document["errors"][0]["message"]


def test_a_context_that_is_not_there_is_said_and_the_others_are_listed(run: Run, files: Path) -> None:
    ran = run("context", "list", environ={"KCFIX_CONTEXT": "gone"})
    assert ran.code == 0
    assert "the context in force is gone, which is not there" in ran.err
    assert "stage" in ran.out
