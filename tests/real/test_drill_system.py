"""The drill has the shape of the real Compose project, and stays away from everything else."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import psycopg
import pytest
from kafka.admin import KafkaAdminClient

from kcfix.drill import broker, database
from kcfix.drill.buy import buy
from kcfix.drill.engine import Engine
from kcfix.drill.faults import break_
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import LABEL, WORKERS, Drill, Options
from kcfix.drill.up import up
from kcfix.errors import Refused
from kcfix.flow import Flow
from tests.real.conftest import Kcfix

PREFIX = "com.docker.compose."


def test_workers_carry_the_labels_of_compose_and_of_the_drill(drill: Drill, engine: Engine) -> None:
    for service in WORKERS:
        container = engine.container(drill, service)
        assert container.name == f"{drill.project}-{service}"
        labels = container.labels
        assert labels[PREFIX + "project"] == drill.project
        assert labels[PREFIX + "service"] == service
        assert labels[PREFIX + "container-number"] == "1"
        assert labels[PREFIX + "project.config_files"] == str(drill.compose_file)
        assert labels[LABEL] == drill.name


def test_workers_run_as_a_normal_user_without_health_check_and_port(drill: Drill, engine: Engine) -> None:
    for service in WORKERS:
        attrs = engine.container(drill, service).attrs
        assert attrs["Config"]["User"] == "1001:1001"
        assert not attrs["Config"].get("Healthcheck")
        assert not attrs["HostConfig"]["PortBindings"]
        assert attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert attrs["HostConfig"]["LogConfig"]["Type"] == "json-file"
        assert all(not mount["RW"] for mount in attrs["Mounts"])


def test_workers_have_the_environment_of_the_compose_file(drill: Drill, engine: Engine) -> None:
    for service in WORKERS:
        pairs = engine.container(drill, service).attrs["Config"]["Env"]
        environment = dict(pair.split("=", 1) for pair in pairs)
        assert environment["NODE_ENV"] == "production"
        assert environment["SERVICE_NAME"] == service
        assert environment["KAFKA_BROKERS"] == "kafka:9092"
        assert urlsplit(environment["POSTGRES_URL"]).hostname == "postgres"


def test_the_database_is_none_of_composes_services(drill: Drill, engine: Engine) -> None:
    labels = engine.container(drill, "postgres").labels
    assert labels[LABEL] == drill.name
    assert not any(label.startswith(PREFIX) for label in labels)


def test_ports_are_published_on_the_loopback_address_only(drill: Drill, engine: Engine) -> None:
    for service in ("kafka", "postgres"):
        bindings = engine.container(drill, service).attrs["HostConfig"]["PortBindings"]
        assert {b["HostIp"] for found in bindings.values() for b in found} == {"127.0.0.1"}


def test_the_broker_advertises_a_name_that_the_host_can_not_resolve(any_drill: Drill) -> None:
    admin = KafkaAdminClient(**kafka_settings(any_drill))
    try:
        brokers = admin.describe_topics(["purchase-confirmed"])
        nodes = admin._manager.cluster.brokers()
    finally:
        admin.close()
    assert brokers
    assert [(node.host, node.port) for node in nodes] == [("kafka", 9092)]
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("kafka", 9092)


def test_topics_are_made_as_kafka_init_makes_them(any_drill: Drill) -> None:
    admin = KafkaAdminClient(**kafka_settings(any_drill))
    try:
        described = {t["name"]: t for t in admin.describe_topics(list(Flow().topics))}
    finally:
        admin.close()
    assert set(described) == set(Flow().topics)
    assert {len(t["partitions"]) for t in described.values()} == {3}
    assert {len(p["replica_nodes"]) for t in described.values() for p in t["partitions"]} == {1}


def test_status_gives_an_address_of_the_database_that_works_and_holds_no_secret(
    drill: Drill, kcfix_anywhere: Kcfix
) -> None:
    ran = kcfix_anywhere("drill", "status", "--name", drill.name, "-o", "json")
    assert ran.code == 0
    assert drill.password not in ran.out + ran.err
    (row,) = ran.rows
    with psycopg.connect(row["dsn"]) as connection:
        assert connection.execute("SELECT count(*) FROM payments").fetchone() is not None
    assert row["brokers"] == ["kafka:9092"]
    assert row["ports"] == {"kafka": drill.kafka_port, "postgres": drill.postgres_port}
    assert {c["service"]: c["state"] for c in row["containers"]} == dict.fromkeys(drill.services, "running")


def test_files_with_the_password_are_readable_by_their_owner_only(drill: Drill) -> None:
    assert drill.data_folder.stat().st_mode & 0o077 == 0
    holding = [
        p for p in drill.data_folder.rglob("*") if p.is_file() and drill.password in p.read_text(errors="replace")
    ]
    assert {p.name for p in holding} >= {"drill.json", "context.toml", "pgpass", "docker-compose.yml"}
    for path in holding:
        if path.parent == drill.data_folder:
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_compose_file_describes_the_containers_that_run(drill: Drill, engine: Engine) -> None:
    document = json.loads(drill.compose_file.read_text())
    assert document["name"] == drill.project
    for service in WORKERS:
        written = document["services"][service]
        attrs = engine.container(drill, service).attrs
        assert written["container_name"] == drill.container(service)
        assert written["image"] == attrs["Config"]["Image"]
        assert written["command"] == attrs["Config"]["Cmd"]
        assert written["environment"].items() <= dict(e.split("=", 1) for e in attrs["Config"]["Env"]).items()
        assert {(v["source"], v["target"]) for v in written["volumes"]} == {
            (m["Source"], m["Destination"]) for m in attrs["Mounts"]
        }


def test_up_leaves_a_drill_that_is_up_as_it_is(drill: Drill, engine: Engine) -> None:
    options = Options(name=drill.name)
    before = {c.id for c in engine.containers(drill.name)}
    assert up(options) == drill
    assert {c.id for c in engine.containers(drill.name)} == before


def test_up_starts_what_does_not_run_and_makes_what_is_missing(drill: Drill, engine: Engine) -> None:
    engine.stop(drill, "session-worker")
    engine.remove(drill, "cache-worker")
    assert up(Options(name=drill.name)) == drill
    assert {c.status for c in engine.containers(drill.name)} == {"running"}
    assert len(engine.containers(drill.name)) == len(drill.services)


def test_up_leaves_what_is_broken_on_purpose(whole: Drill, engine: Engine) -> None:
    break_(whole, "worker-stopped")
    assert up(Options(name=whole.name)) == whole
    assert engine.container(whole, "purchase-worker").status == "exited"


def test_up_refuses_other_options_for_a_drill_that_is_up(drill: Drill) -> None:
    with pytest.raises(Refused, match="other options"):
        up(Options(name=drill.name, unique_index=not drill.unique_index))


def test_broker_and_database_keep_port_and_data_over_a_stop(newest_drill: Drill, engine: Engine) -> None:
    # Its workers need half a minute to come back after it (docs/system.md 6, mode 17a): so not on the suite's drill.
    (bought,) = buy(newest_drill, 1)
    for service in ("kafka", "postgres"):
        engine.stop(newest_drill, service, grace_seconds=20)
        engine.start(newest_drill, service)
    broker.wait_until_ready(newest_drill, lambda: None)
    database.wait_until_ready(newest_drill, lambda: None)
    with psycopg.connect(newest_drill.dsn) as connection:
        assert connection.execute("SELECT id::text FROM payments WHERE id = %s", (bought,)).fetchone() == (bought,)
    admin = KafkaAdminClient(**kafka_settings(newest_drill))
    try:
        assert set(Flow().topics) <= set(admin.list_topics())
    finally:
        admin.close()
