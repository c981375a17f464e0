"""Finding the system by its containers."""

from __future__ import annotations

import pytest

from kcfix.core.setup.discovery import discover, service_of, workers_of
from kcfix.core.setup.dsn import for_libpq
from kcfix.core.setup.same_system import differences
from kcfix.core.workers import ContainerState
from tests.builders import FLOW, a_container, a_system


def test_workers_are_found_by_the_compose_service_label_whatever_their_name() -> None:
    worker = a_container("purchase-worker", name="something-else-1")
    assert workers_of(FLOW, [worker])["purchase-worker"] == (worker,)


def test_without_a_label_the_container_name_decides() -> None:
    named = a_container("purchase-worker", project=None, name="kodingcaravan-purchase-worker")
    bare = a_container("session-worker", project=None, name="session-worker")
    found = workers_of(FLOW, [named, bare])
    assert (found["purchase-worker"], found["session-worker"]) == ((named,), (bare,))


def test_a_label_goes_before_a_name() -> None:
    other = a_container("web", name="kodingcaravan-purchase-worker")
    assert service_of(FLOW, other) is None


def test_every_worker_of_the_flow_is_there_even_without_a_container() -> None:
    found = workers_of(FLOW, [])
    assert set(found) == {stage.worker for stage in FLOW.stages}
    assert not any(found.values())


def test_one_off_containers_are_no_workers() -> None:
    once = a_container(labels={"com.docker.compose.oneoff": "True"})
    assert workers_of(FLOW, [once])["purchase-worker"] == ()


def test_drills_are_left_out_unless_their_project_is_asked_for() -> None:
    live, drilled = a_container(), a_container(project="kcfix-drill", name="kcfix-drill-purchase-worker", drill="drill")
    assert workers_of(FLOW, [live, drilled])["purchase-worker"] == (live,)
    assert workers_of(FLOW, [live, drilled], "kcfix-drill")["purchase-worker"] == (drilled,)
    assert discover(FLOW, [live, drilled]).drills == ("drill",)


def test_projects_that_look_alike_are_named_and_nothing_is_guessed() -> None:
    found = discover(FLOW, [*a_system("one"), *a_system("two", broker_port=9192)])
    assert found.alike == ("one", "two")
    assert found.ambiguous
    assert (found.brokers, found.dsn, found.addresses) == (None, None, {})
    assert len(found.workers["purchase-worker"]) == 2


def test_a_project_settles_which_of_two_is_meant() -> None:
    found = discover(FLOW, [*a_system("one"), *a_system("two", broker_port=9192)], "two")
    assert not found.ambiguous
    assert found.addresses["kafka:9092"] == "127.0.0.1:9192"


def test_the_broker_of_another_application_is_not_ours() -> None:
    foreign = a_container("kafka", project="shop", name="shop-kafka-1", published={9092: "127.0.0.1:1111"})
    found = discover(FLOW, [*a_system(), foreign])
    assert not found.ambiguous
    assert found.addresses["kafka:9092"] == "127.0.0.1:9092"


def test_brokers_and_database_come_from_the_workers_in_the_order_of_the_names() -> None:
    worker = a_container(
        brokers=None,
        dsn=None,
        environment={
            "KAFKA_BROKER": "one:9092, two",
            "DATABASE_URL": "postgresql://u:pw@last/kc",
            "POSTGRES_URI": "postgresql://u:pw@db/kc",
            "POSTGRES_SSL": "true",
        },
    )
    found = discover(FLOW, [worker])
    assert found.brokers is not None
    assert found.dsn is not None
    assert found.brokers.value == ("one:9092", "two:9092")
    assert found.dsn.value == "postgresql://u:pw@db/kc?sslmode=require"
    assert found.dsn.where == "container kodingcaravan-purchase-worker"


def test_workers_that_disagree_are_named_without_secrets() -> None:
    odd = a_container("session-worker", brokers="other:9092", dsn="postgresql://u:made-up-two@other/kc")
    found = discover(FLOW, [a_container(), odd])
    assert found.disagreements == (
        "kodingcaravan-session-worker: configured with other brokers than kodingcaravan-purchase-worker",
        "kodingcaravan-session-worker: configured with other database than kodingcaravan-purchase-worker",
    )


def test_without_any_worker_payment_service_still_tells() -> None:
    found = discover(FLOW, [a_container("payment-service"), a_container("kafka", published={9092: "127.0.0.1:9092"})])
    assert found.brokers is not None
    assert found.brokers.value == ("kafka:9092",)


def test_an_unpublished_port_is_reached_at_the_container_when_the_engine_is_local() -> None:
    kafka = a_container("kafka", address="172.20.0.2")
    assert discover(FLOW, [a_container(), kafka]).addresses["kafka"] == "172.20.0.2"
    assert "kafka" not in discover(FLOW, [a_container(), kafka], local=False).addresses


def test_a_running_container_goes_before_a_stopped_namesake() -> None:
    old = a_container("kafka", name="a-old", state=ContainerState.EXITED, published={9092: "127.0.0.1:1"})
    new = a_container("kafka", name="b-new", published={9092: "127.0.0.1:2"})
    assert discover(FLOW, [a_container(), old, new]).addresses["kafka:9092"] == "127.0.0.1:2"


def test_a_database_without_labels_on_the_same_network_is_mapped() -> None:
    database = a_container("postgres", name="kc-postgres", published={5432: "127.0.0.1:5544"})
    assert discover(FLOW, [a_container(), database]).addresses["postgres:5432"] == "127.0.0.1:5544"


@pytest.mark.parametrize(
    ("url", "tls", "expected"),
    [
        ("postgresql://u:p@h/d", False, "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d", True, "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?sslmode=verify-full", True, "postgresql://u:p@h/d?sslmode=verify-full"),
        ("postgresql://u:p@h/d?sslmode=no-verify", False, "postgresql://u:p@h/d?sslmode=require"),
        ("host=h dbname=d", True, "host=h dbname=d"),
    ],
)
def test_a_node_url_is_made_fit_for_libpq(url: str, tls: bool, expected: str) -> None:
    assert for_libpq(url, tls=tls) == expected


DSN = "postgresql://app:made-up-password@db.example.com:5432/kc_app"


@pytest.mark.parametrize(
    ("brokers", "dsn", "different"),
    [
        (("kafka:9092",), DSN, 0),
        (("localhost:9092",), DSN, 0),
        (("127.0.0.1:9092",), "postgresql://other:user@DB.example.com/kc_app", 0),
        (("127.0.0.1:9192",), DSN, 1),
        (("kafka:9092",), "postgresql://app@db.example.com:5432/kc_test", 1),
        (("kafka:9092",), "postgresql://app@localhost:5432/kc_app", 1),
        ((), None, 0),
    ],
)
def test_another_system_than_the_workers_is_seen(brokers: tuple[str, ...], dsn: str | None, different: int) -> None:
    found = discover(FLOW, [a_container(), *a_system()[-1:]])
    reasons = differences(found.configured, brokers, dsn, found.addresses)
    assert len(reasons) == different
    assert not any("password" in reason for reason in reasons)


def test_the_short_inner_name_of_a_hosted_database_is_the_same_one() -> None:
    worker = a_container(dsn="postgresql://u:p@dpg-made-up-a:5432/kc")
    found = discover(FLOW, [worker])
    mine = "postgresql://u:p@dpg-made-up-a.region-postgres.example.com:5432/kc"
    assert differences(found.configured, (), mine, {}) == ()
