"""Finding a real system by its containers: no brokers, no database and no address map are given."""

from __future__ import annotations

from kcfix.drill.state import Drill
from tests.real.conftest import Kcfix
from tests.schemas import check_document


def test_config_show_says_what_the_containers_tell_and_masks_the_password(kcfix_anywhere: Kcfix, drill: Drill) -> None:
    ran = kcfix_anywhere("--project", drill.project, "config", "show", "-o", "json")
    assert ran.code == 0
    check_document(ran.document)
    rows = {row["name"]: row for row in ran.rows}
    assert rows["brokers"]["value"] == ["kafka:9092"]
    assert rows["brokers"]["source"] == "discovered"
    assert rows["brokers"]["where"].startswith(f"container {drill.project}-")
    assert rows["address_map"]["value"]["kafka:9092"] == f"127.0.0.1:{drill.kafka_port}"
    assert rows["address_map"]["value"]["postgres:5432"] == f"127.0.0.1:{drill.postgres_port}"
    assert ":***@postgres:5432/" in rows["dsn"]["value"]
    assert drill.password not in ran.out + ran.err


def test_kafka_and_database_are_reached_though_their_names_only_resolve_inside_docker(
    kcfix_anywhere: Kcfix, drill: Drill
) -> None:
    status = kcfix_anywhere("--project", drill.project, "status", "-o", "json")
    check_document(status.document)
    answers = {row["section"]: row["answers"] for row in status.rows if "answers" in row}
    assert answers == {"kafka": True, "database": True, "docker": True}
    lag = kcfix_anywhere("--project", drill.project, "lag", "-g", "purchase-creation-workers", "-o", "json")
    assert lag.code == 0
    assert len(lag.rows) == 3


def test_a_broker_reached_by_its_published_port_may_advertise_a_name_unknown_to_the_host(
    kcfix_anywhere: Kcfix, drill: Drill
) -> None:
    broker = f"localhost:{drill.kafka_port}"
    ran = kcfix_anywhere("--brokers", broker, "--project", drill.project, "topics", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert "purchase-confirmed" in {row["topic"] for row in ran.rows}


def test_an_explicit_address_map_needs_no_docker(kcfix_anywhere: Kcfix, drill: Drill) -> None:
    ran = kcfix_anywhere(
        "topics",
        "-q",
        "--brokers",
        "kafka:9092",
        "--address-map",
        f"kafka:9092=127.0.0.1:{drill.kafka_port}",
        "--docker-host",
        "unix:///nonexistent/docker.sock",
    )
    assert (ran.code, ran.err) == (0, "")
    assert "purchase-confirmed" in ran.lines


def test_without_the_project_a_drill_is_not_taken_for_the_live_system(kcfix_anywhere: Kcfix, drill: Drill) -> None:
    ran = kcfix_anywhere("config", "show", "-o", "json")
    assert ran.code == 0
    assert drill.project not in ran.out


def test_a_stopped_docker_client_gets_one_line_within_its_deadline(kcfix_anywhere: Kcfix) -> None:
    ran = kcfix_anywhere("logs", "--docker-host", "unix:///nonexistent/docker.sock")
    assert ran.code == 4
    assert ran.out == ""
    assert len(ran.err.splitlines()) <= 2
