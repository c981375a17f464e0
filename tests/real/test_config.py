"""`kcfix config check` on real servers: all well, each one dead, hung, misnamed or unwilling; nothing is changed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kcfix.drill.state import Drill
from tests.real.conftest import Kcfix, Ran

READER = "config_check_reader"


def row(ran: Ran, system: str, check: str) -> dict[str, Any]:
    (found,) = [r for r in ran.rows if (r["system"], r["check"]) == (system, check)]
    return found


def of(ran: Ran, system: str) -> set[str]:
    return {r["status"] for r in ran.rows if r["system"] == system}


@pytest.fixture
def hung() -> Iterator[int]:
    """Port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


@pytest.fixture
def check(kcfix_anywhere: Kcfix, drill: Drill, tmp_path: Path) -> Any:
    """`config check` in a context that is written down: the drill's settings, some of them changed or left out."""

    def call(*argv: str, environ: dict[str, str] | None = None, **settings: object) -> Ran:
        values: dict[str, object] = {
            "brokers": list(drill.brokers),
            "address_map": drill.address_map,
            "dsn": drill.dsn,
            "project": drill.project,
            "timeout": "4s",
            **settings,
        }
        text = "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None)
        folder = tmp_path / "config" / "kcfix"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(f"[contexts.tried]\n{text}")
        home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        ran = kcfix_anywhere("-C", "tried", "config", "check", "-o", "json", *argv, environ={**home, **(environ or {})})
        assert drill.password not in ran.out + ran.err
        assert "Traceback" not in ran.err
        return ran

    return call


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def test_all_is_well_on_a_drill_and_nothing_is_changed_by_looking(kcfix: Kcfix, drill: Drill, check: Any) -> None:
    counting = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname LIKE %s"
    before = _ask(drill, counting, "%purchases")
    for ran in (kcfix("config", "check", "-o", "json"), check()):
        assert ran.code == 0, ran.err
        assert {r["status"] for r in ran.rows if r["check"] not in ("file mode", "index")} == {"OK"}
    assert f"Kafka {'.'.join(drill.kafka_version.split('.')[:2])}" in row(ran, "kafka", "cluster")["text"]
    assert drill.cluster_id in row(ran, "kafka", "cluster")["text"]
    assert row(ran, "kafka", "brokers")["text"].startswith("broker 1 advertises kafka:9092, reached at 127.0.0.1:")
    assert row(ran, "database", "connection")["text"].startswith("PostgreSQL ")
    assert row(ran, "docker", "engine")["text"].startswith("Docker ")
    assert row(ran, "settings", "project")["text"].startswith(f"{drill.project} (file: ")
    assert _ask(drill, counting, "%purchases") == before


def _ask(drill: Drill, query: str, *values: object) -> object:
    with psycopg.connect(drill.dsn) as connection:
        found = connection.execute(query.encode(), values).fetchone()
        return found[0] if found else None


@pytest.mark.parametrize(
    ("brokers", "obstacle"),
    [
        (["127.0.0.1:1"], "refused"),
        (["no-such-host.invalid:9092"], "name_not_resolved"),
        ("hung", "timeout"),
        ("database", "other_protocol"),
    ],
)
def test_kafka_that_can_not_be_asked(check: Any, drill: Drill, hung: int, brokers: object, obstacle: str) -> None:
    ports = {"hung": hung, "database": drill.postgres_port}
    ran = check(brokers=[f"127.0.0.1:{ports[brokers]}"] if isinstance(brokers, str) else brokers)
    found = row(ran, "kafka", "cluster")
    assert (ran.code, found["status"]) == (4, "FAILED")
    # PostgreSQL hangs up on what it does not understand, or says something that is no answer of Kafka's.
    assert found["obstacle"] in ({obstacle, "closed", "timeout"} if brokers == "database" else {obstacle})
    assert of(ran, "database") <= {"OK", "CAUTION"}
    assert row(ran, "docker", "engine")["status"] == "OK"


def test_a_broker_that_advertises_an_address_unknown_here(check: Any, drill: Drill, tmp_path: Path) -> None:
    ran = check(
        brokers=[f"127.0.0.1:{drill.kafka_port}"],
        address_map=None,
        docker_host=f"unix://{tmp_path}/none.sock",
        project=None,
    )
    assert ran.code == 4
    assert row(ran, "kafka", "cluster")["status"] == "OK"
    found = row(ran, "kafka", "brokers")
    assert found["obstacle"] == "wrong_advertised_address"
    assert "broker 1 advertises kafka:9092: a name that this host can't resolve" in found["text"]
    assert "--address-map" in found["hint"]


@pytest.mark.parametrize(
    ("change", "obstacle", "words"),
    [
        ({"port": 1}, "refused", "connection refused"),
        ({"host": "no-such-host.invalid"}, "name_not_resolved", "can't be resolved"),
        ({"name": "no_such_database"}, "no_such_database", "no database of that name"),
        ({"password": "wrong-word"}, "authentication", "refused the user or the password"),
        ({"user": "nobody_at_all"}, "authentication", "refused the user or the password"),
        ({"password": ""}, "authentication", "asks for a password"),
        ({"query": "?sslmode=require"}, "tls", "does not speak TLS"),
        ({"port": "hung"}, "timeout", "did not answer within"),
    ],
)
def test_a_database_that_can_not_be_asked(
    check: Any, drill: Drill, hung: int, change: dict[str, object], obstacle: str, words: str
) -> None:
    parts: dict[str, object] = {
        "user": "kc",
        "password": drill.password,
        "host": "127.0.0.1",
        "port": drill.postgres_port,
        "name": drill.dsn.rpartition("/")[2],
        "query": "",
        **change,
    }
    parts["user"] = change.get("user", drill.dsn.partition("://")[2].partition(":")[0])
    parts["port"] = hung if parts["port"] == "hung" else parts["port"]
    word = f":{parts['password']}" if parts["password"] else ""
    ran = check(
        dsn=f"postgresql://{parts['user']}{word}@{parts['host']}:{parts['port']}/{parts['name']}{parts['query']}"
    )
    found = row(ran, "database", "connection")
    assert (ran.code, found["obstacle"]) == (4, obstacle)
    assert words in found["text"]
    assert "wrong-word" not in ran.out + ran.err
    assert of(ran, "kafka") <= {"OK", "CAUTION"}


def test_docker_that_can_not_be_asked(check: Any, tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(dead))
    ran = check(docker_host=f"unix://{dead}")
    assert (ran.code, row(ran, "docker", "engine")["obstacle"]) == (4, "refused")
    ran = check(docker_host=f"unix://{tmp_path}/none.sock")
    assert (ran.code, row(ran, "docker", "engine")["obstacle"]) == (4, "absent")
    assert of(ran, "kafka") | of(ran, "database") <= {"OK", "CAUTION"}


def test_a_missing_right_is_named_with_the_line_that_grants_it(check: Any, drill: Drill) -> None:
    with psycopg.connect(drill.dsn, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {READER}".encode())
        connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD 'reader-word'".encode())
        try:
            dsn = f"postgresql://{READER}:reader-word@127.0.0.1:{drill.postgres_port}/{drill.dsn.rpartition('/')[2]}"
            ran = check(dsn=dsn)
            found = row(ran, "database", "reading")
            assert (ran.code, found["obstacle"]) == (4, "missing_right")
            assert found["hint"].startswith("GRANT SELECT ON ")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}".encode())
            ran = check(dsn=dsn)
            assert ran.code == 0
            assert row(ran, "database", "reading")["status"] == "OK"
            assert row(ran, "database", "writing")["hint"] == f"GRANT INSERT ON student_course_purchases TO {READER};"
        finally:
            connection.execute(f"DROP OWNED BY {READER}".encode())
            connection.execute(f"DROP ROLE {READER}".encode())


def test_the_password_comes_from_a_variable_a_file_or_a_command(check: Any, drill: Drill, tmp_path: Path) -> None:
    bare = drill.dsn.replace(f":{drill.password}@", "@")
    word = tmp_path / "word"
    word.write_text(f"{drill.password}\nuser: somebody\n")
    assert row(check(dsn=bare), "database", "connection")["obstacle"] == "authentication"
    assert check(dsn=bare, environ={"KCFIX_PASSWORD": drill.password}).code == 0
    assert check(dsn=bare, password_file=str(word)).code == 0
    assert check(dsn=bare, password_command=["head", "-1", str(word)]).code == 0
    gone = row(check(dsn=bare, password_command=["no-such-program"]), "database", "connection")
    assert (gone["obstacle"], "no-such-program (password_command) can't be started" in gone["text"]) == (
        "password_not_given",
        True,
    )


def test_a_password_on_the_command_line_is_refused(kcfix_anywhere: Kcfix, drill: Drill) -> None:
    ran = kcfix_anywhere("config", "check", "--dsn", drill.dsn)
    assert ran.code == 2
    assert "list of processes" in ran.err
    assert drill.password not in ran.out + ran.err


def test_a_stray_variable_leads_a_named_context_nowhere_else(check: Any) -> None:
    stray = {
        "KAFKA_BROKERS": "127.0.0.1:1",
        "DATABASE_URL": "postgresql://stray@127.0.0.1:1/stray",
        "POSTGRES_URL": "postgresql://stray@127.0.0.1:1/stray",
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "PGHOST": "127.0.0.2",
        "PGHOSTADDR": "127.0.0.2",
        "PGPORT": "1",
        "PGDATABASE": "stray",
        "PGUSER": "stray",
        "PGSERVICE": "stray",
        "PGOPTIONS": "-c search_path=pg_catalog",
    }
    ran = check(environ=stray)
    assert ran.code == 0, ran.out


def test_a_first_file_made_from_a_drill_leads_to_it(kcfix: Kcfix, drill: Drill, tmp_path: Path) -> None:
    ran = kcfix("config", "init", "--as", "mine", "-o", "json")
    assert ran.code == 0, ran.err
    text = (tmp_path / "kcfix.toml").read_text()
    assert drill.password not in text + ran.out + ran.err
    assert drill.project in text
    mine = Kcfix(tmp_path, "mine")
    refused = mine("config", "check", "-o", "json")
    assert row(refused, "database", "connection")["obstacle"] == "authentication"
    tried = mine("config", "check", "-o", "json", environ={"KCFIX_PASSWORD": drill.password})
    assert tried.code == 0, tried.out
    assert of(tried, "kafka") == {"OK"}
    again = kcfix("config", "init", "--as", "other")
    assert (again.code, (tmp_path / "kcfix.toml").read_text()) == (5, text)


def test_a_first_file_is_made_from_the_containers_alone(kcfix_anywhere: Kcfix, drill: Drill, tmp_path: Path) -> None:
    ran = kcfix_anywhere("config", "init", "--project", drill.project, "-o", "json")
    assert ran.code == 0, ran.err
    text = (tmp_path / "kcfix.toml").read_text()
    assert drill.password not in text + ran.out + ran.err
    assert "Found: container" in text
    tried = kcfix_anywhere("config", "check", "-o", "json", environ={"KCFIX_PASSWORD": drill.password})
    assert tried.code == 0, tried.out


def test_a_broker_of_another_cluster_at_the_advertised_address(check: Any, drill: Drill, newest_drill: Drill) -> None:
    ran = check(
        brokers=[f"127.0.0.1:{drill.kafka_port}"], address_map={"kafka:9092": f"127.0.0.1:{newest_drill.kafka_port}"}
    )
    found = row(ran, "kafka", "brokers")
    assert (ran.code, found["obstacle"]) == (4, "wrong_advertised_address")
    assert "where a broker of another cluster answers" in found["text"]
    newest = check(brokers=[f"127.0.0.1:{newest_drill.kafka_port}"], dsn=newest_drill.dsn, project=newest_drill.project)
    assert row(newest, "kafka", "cluster")["text"].endswith("Kafka 4.3 or newer")


def test_a_protected_context_is_changed_only_by_its_typed_name(
    kcfix_anywhere: Kcfix, drill: Drill, tmp_path: Path
) -> None:
    (tmp_path / "kcfix.toml").write_text(
        f"[contexts.careful]\nprotected = true\nproject = {_toml(drill.project)}\ndsn = {_toml(drill.dsn)}\n"
        f"brokers = {_toml(list(drill.brokers))}\naddress_map = {_toml(drill.address_map)}\n"
    )
    restart = ("restart", "cache-worker", "--yes")
    careful = Kcfix(tmp_path, "careful")
    assert careful(*restart).code == 5
    unnamed = careful(*restart, "--reason", "a test")
    assert (unnamed.code, "--confirm careful" in unnamed.err) == (5, True)
    assert careful(*restart, "--reason", "a test", "--confirm", "drill").code == 5
    stray = careful(
        *restart, "--reason", "a test", "--confirm", "careful", environ={"KCFIX_DSN": "postgresql://127.0.0.1:1/x"}
    )
    assert (stray.code, "led elsewhere by KCFIX_DSN" in stray.err) == (5, True)
    done = careful(*restart, "--reason", "a test", "--confirm", "careful", environ={"KCFIX_PROTECTED": "false"})
    assert done.code == 0, done.err
