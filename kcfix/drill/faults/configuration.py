"""Faults of a worker's environment: its container was made with a variable missing or wrong."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from kcfix.drill import groups, schema
from kcfix.drill.broker import SASL_ADDRESS, SASL_USER
from kcfix.drill.buy import buy
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import GROUP, WORKER, Site, State
from kcfix.drill.state import DATABASE

OLD_DATABASE = "kc_app_old"


def renew_and_recover(site: Site, state: State) -> None:
    """The container is made again with its usual environment; what had no purchase is sent once more."""
    site.renew_worker()
    site.send_again(site.without_purchase(state.get("payments", [])))


def _wrong(
    name: str, modes: tuple[str, ...], what: str, seen: str, environment: Mapping[str, str | None], *, says: str
) -> Fault:
    """A fault that is made by this environment, and waits until the worker's log says so."""

    def make(site: Site) -> State:
        """A payment waits when the container is made again with the wrong environment."""
        return _misconfigure(site, environment, says)

    return Fault(name, Area.CONFIGURATION, modes, what, seen, make, renew_and_recover)


def _misconfigure(site: Site, environment: Mapping[str, str | None], says: str) -> State:
    site.stop_protected()
    state: State = {"payments": buy(site.drill, 1)}
    site.remember(state)
    site.make_worker(environment=environment)
    site.wait_said(WORKER, says)
    return state


def wrong_password(site: Site) -> State:
    """The worker's database address has an old password."""
    old = site.drill.inner_dsn.replace(site.drill.password, "an-old-password")
    return _misconfigure(site, {"POSTGRES_URL": old}, "password authentication failed")


def wrong_database(site: Site) -> State:
    """The worker's address names another database with the same tables: it works, and nobody sees what it makes."""
    site.run(f"CREATE DATABASE {OLD_DATABASE}")
    dsn, inner = (d.removesuffix(f"/{DATABASE}") + f"/{OLD_DATABASE}" for d in (site.drill.dsn, site.drill.inner_dsn))
    schema.apply(site.drill, dsn)
    site.make_worker(environment={"POSTGRES_URL": inner})
    groups.wait_joined(site.drill, GROUP)
    state: State = {"payments": buy(site.drill, 2)}
    site.remember(state)
    with psycopg.connect(dsn, autocommit=True) as connection:
        site.wait(lambda: _purchases(connection) == 2, "no purchase in the other database")
    return state


def _purchases(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM student_course_purchases").fetchone()
    return int(row[0]) if row else 0


def right_database(site: Site, state: State) -> None:
    """The container is made again with the right address, the payments are sent again, the other database goes."""
    renew_and_recover(site, state)
    site.run(f"DROP DATABASE IF EXISTS {OLD_DATABASE} WITH (FORCE)")


def wrong_sasl_password(site: Site) -> State:
    """The worker is sent to the broker's listener with passwords, and has an old one."""
    environment = {
        "KAFKA_BROKERS": SASL_ADDRESS,
        "KAFKA_SASL_USERNAME": SASL_USER,
        "KAFKA_SASL_PASSWORD": "an-old-password",
    }
    return _misconfigure(site, environment, "Authentication failed")


FAULTS = (
    _wrong(
        "brokers-unset",
        ("11",),
        "purchase-worker was made without KAFKA_BROKERS and looks for Kafka on localhost",
        "its log: ECONNREFUSED 127.0.0.1:9092; exit 1 after half a minute, again and again",
        {"KAFKA_BROKERS": None},
        says="ECONNREFUSED",
    ),
    _wrong(
        "brokers-wrong-name",
        ("11", "15"),
        "purchase-worker's KAFKA_BROKERS has a name that nobody has",
        "its log: ENOTFOUND kafak; exit 1 after half a minute, again and again",
        {"KAFKA_BROKERS": "kafak:9092"},
        says="ENOTFOUND",
    ),
    _wrong(
        "sasl-not-configured",
        (),
        "the broker asks for a password on the address that purchase-worker was given, and it offers none",
        "its log: Closed connection, exit 1, again and again; the broker runs and answers others",
        {"KAFKA_BROKERS": SASL_ADDRESS},
        says="Closed connection",
    ),
    Fault(
        "sasl-password-wrong",
        Area.CONFIGURATION,
        (),
        "purchase-worker has an old SASL password for Kafka",
        "its log: SASL PLAIN authentication failed; exit 1, again and again",
        wrong_sasl_password,
        renew_and_recover,
    ),
    _wrong(
        "postgres-url-unset",
        ("54", "53"),
        "purchase-worker was made without POSTGRES_URL and looks for a database on localhost",
        "joined, its log: ECONNREFUSED 127.0.0.1:5432, every message to the dead letters",
        {"POSTGRES_URL": None},
        says="ECONNREFUSED",
    ),
    Fault(
        "postgres-password-wrong",
        Area.CONFIGURATION,
        ("53",),
        "purchase-worker has an old password for the database; everybody else has the right one",
        "joined, its log: password authentication failed, every message to the dead letters",
        wrong_password,
        renew_and_recover,
    ),
    _wrong(
        "postgres-tls-wrong",
        ("55",),
        "purchase-worker has POSTGRES_SSL=true and the database speaks no TLS",
        "joined, its log: the server does not support SSL connections, every message to the dead letters",
        {"POSTGRES_SSL": "true"},
        says="does not support SSL",
    ),
    Fault(
        "postgres-wrong-database",
        Area.CONFIGURATION,
        ("54",),
        "purchase-worker's POSTGRES_URL names an old copy of the database: it makes purchases where nobody looks",
        "worker joined and content, no lag, no error, and no purchase",
        wrong_database,
        right_database,
    ),
)
