"""`kcfix config check`: each system tried, what is wrong in words, no secret, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.ports.database import IndexState
from kcfix.errors import AccessDenied, Obstacle, Unreachable, UsageError
from tests.conftest import Absent, Ran, Run
from tests.fakes_docker import container
from tests.system import System

Row = dict[str, Any]
SAME = {
    "KCFIX_BROKERS": "kafka:9092",
    "KCFIX_DSN": "postgresql://kcfix:made-up-word@db.example:5432/kc_app",
}


def rows(ran: Ran, system: str) -> list[Row]:
    return [row for row in ran.document["data"] if row["system"] == system]


def row(ran: Ran, system: str, check: str) -> Row:
    (found,) = [r for r in rows(ran, system) if r["check"] == check]
    return dict(found)


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def check(run: Run, system: System) -> Callable[..., Ran]:
    def call(*argv: str, **more: Any) -> Ran:
        environ = {**SAME, **more.pop("environ", {})}
        return run(*argv, "config", "check", "-o", "json", environ=environ, **{**system.parts, **more})

    return call


def test_with_everything_well_it_says_what_it_found_and_where_settings_came_from(check: Callable[..., Ran]) -> None:
    ran = check()
    assert (ran.code, ran.err) == (0, "")
    assert {r["status"] for r in ran.document["data"]} == {"OK"}
    assert row(ran, "docker", "engine")["text"].startswith("Docker 20.10.24 on a-host")
    assert "4 workers of kc-backend" in row(ran, "docker", "containers")["text"]
    assert "Kafka 3.5" in row(ran, "kafka", "cluster")["text"]
    assert row(ran, "kafka", "brokers")["text"] == "broker 1 advertises kafka:9092"
    assert "PostgreSQL 15.0 at" in row(ran, "database", "connection")["text"]
    assert row(ran, "settings", "brokers")["text"] == '["kafka:9092"] (environment: KCFIX_BROKERS)'
    assert row(ran, "settings", "dsn")["text"].endswith("kcfix:***@db.example:5432/kc_app (environment: KCFIX_DSN)")
    assert row(ran, "settings", "same system")["status"] == "OK"
    assert "made-up-word" not in ran.out + ran.err


def test_nothing_is_changed(check: Callable[..., Ran], system: System, tmp_path: Path) -> None:
    check()
    assert system.kafka.sent == []
    assert system.kafka.commits == []
    assert system.docker.done == []
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Unreachable("no", system="x", obstacle=Obstacle.NAME), 4, "unreachable"),
        (Unreachable("no", system="x", obstacle=Obstacle.TIMEOUT), 4, "unreachable"),
        (AccessDenied("no", system="x", obstacle=Obstacle.AUTHENTICATION), 4, "access_denied"),
        (UsageError("no"), 2, "usage"),
    ],
)
@pytest.mark.parametrize("part", ["docker", "kafka", "database"])
def test_a_system_that_can_not_be_asked_is_one_failed_row_and_the_others_are_told(
    check: Callable[..., Ran], system: System, part: str, error: Any, code: int, kind: str
) -> None:
    if part == "docker":
        system.docker.failure = error
    else:
        getattr(system, part).down = error
    ran = check()
    assert ran.code == code
    (found,) = rows(ran, part)
    assert (found["status"], found["text"]) == ("FAILED", "no")
    assert found["obstacle"] == getattr(error, "obstacle", None)
    assert [(e["kind"], e["message"]) for e in ran.document["errors"]] == [(kind, f"{part}: no")]
    others = {"docker", "kafka", "database"} - {part}
    assert all(len(rows(ran, other)) >= 2 for other in others)


def test_a_host_without_docker_is_no_failure_where_all_else_is_set(check: Callable[..., Ran], system: System) -> None:
    system.docker.failure = Unreachable("no Docker socket", system="docker", obstacle=Obstacle.ABSENT)
    ran = check()
    assert (ran.code, row(ran, "docker", "engine")["status"]) == (0, "CAUTION")
    meant = check(environ={"KCFIX_DOCKER_HOST": "unix:///nowhere.sock"})
    assert (meant.code, row(meant, "docker", "engine")["status"]) == (4, "FAILED")


def test_a_broker_that_is_not_where_it_says_is_told_and_the_rest_is_tried(
    check: Callable[..., Ran], system: System
) -> None:
    system.kafka.advertised_errors[1] = Unreachable(
        "broker 1 advertises kafka:9092: the name can't be resolved", system="kafka", obstacle=Obstacle.ADVERTISED
    )
    ran = check()
    found = row(ran, "kafka", "brokers")
    assert (ran.code, found["obstacle"]) == (4, "wrong_advertised_address")
    assert row(ran, "kafka", "topics")["status"] == "OK"


@pytest.mark.parametrize(("topic", "code", "status"), [(1, 1, "FAILED"), (5, 0, "CAUTION")])
def test_a_missing_topic_is_named(
    check: Callable[..., Ran], system: System, topic: int, code: int, status: str
) -> None:
    name = ("purchase-confirmed", "purchase-created", "", "", "", "notification-requested")[topic]
    system.kafka.remove_topic(name)
    ran = check()
    assert ran.code == code
    assert (row(ran, "kafka", "topics")["status"], name in row(ran, "kafka", "topics")["text"]) == (status, True)


def test_a_table_that_may_not_be_read_is_told_with_the_line_that_grants_it(
    check: Callable[..., Ran], system: System
) -> None:
    hint = "GRANT SELECT ON payments TO kcfix;"
    system.database.refused_tables = AccessDenied("no right", system="database", hint=hint, obstacle=Obstacle.RIGHT)
    ran = check()
    found = row(ran, "database", "reading")
    assert (ran.code, found["obstacle"], found["hint"]) == (4, "missing_right", hint)


def test_a_read_only_database_and_a_missing_index_are_cautions(check: Callable[..., Ran], system: System) -> None:
    system.database.read_only = True
    system.database.index = IndexState.MISSING
    ran = check()
    assert ran.code == 0
    assert row(ran, "database", "writing")["status"] == "CAUTION"
    assert row(ran, "database", "index")["status"] == "CAUTION"


def test_another_system_than_the_workers_and_projects_that_look_alike_are_not_well(
    check: Callable[..., Ran], system: System
) -> None:
    ran = check(environ={"KCFIX_BROKERS": "elsewhere.example:9092"})
    assert (ran.code, row(ran, "settings", "same system")["status"]) == (1, "FAILED")
    twin = container(project="other", name="other-purchase-worker")
    system.docker.boxes[twin.id] = replace(twin)
    alike = check()
    assert alike.code == 1
    assert row(alike, "docker", "containers")["hint"] == "choose one with --project"


def test_a_file_with_a_password_that_others_can_read_is_a_caution(check: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    file = tmp_path / "work" / "kcfix.toml"
    file.write_text('payments_dsn = "postgresql://kcfix:made-up-word@pay.example/pay"\n')
    for mode, status in ((0o644, ["CAUTION"]), (0o600, [])):
        file.chmod(mode)
        ran = check()
        assert [r["status"] for r in rows(ran, "settings") if r["check"] == "file mode"] == status
        assert (f"chmod 600 {file}" in ran.out) is bool(status)
    assert "made-up-word" not in ran.out + ran.err


def test_a_variable_that_leads_a_named_context_elsewhere_is_a_caution(
    check: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "kcfix.toml").write_text('[contexts.prod]\nbrokers = "prod.example:9092"\nprotected = true\n')
    ran = check("-C", "prod")
    assert row(ran, "settings", "KCFIX_BROKERS")["status"] == "CAUTION"
    assert row(ran, "settings", "context")["text"] == "prod (protected)"


def test_without_anything_it_is_said_that_nothing_is_known(run: Run) -> None:
    gone = Unreachable("no Docker socket", system="docker", obstacle=Obstacle.ABSENT)

    class Gone(Absent):
        def __getattr__(self, name: str) -> Any:
            raise gone

    ran = run("config", "check", "-o", "json", docker=Gone("docker"))
    assert ran.code == 4
    assert row(ran, "docker", "engine")["obstacle"] == "absent"
    assert {r["status"] for r in rows(ran, "kafka") + rows(ran, "database")} == {"FAILED"}


def test_on_a_terminal_it_is_a_table_with_what_to_do(run: Run, system: System) -> None:
    system.docker.failure = Unreachable("no socket", system="docker", hint="start it", obstacle=Obstacle.ABSENT)
    ran = run("config", "check", "--no-color", environ=SAME, tty=True, **system.parts)
    assert "SYSTEM" in ran.out
    assert "docker engine: start it" in ran.out
