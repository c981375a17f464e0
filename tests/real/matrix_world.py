"""The system of the fault matrix: a drill whose servers also know users with few rights and with none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from kcfix.drill.broker import SASL_USER
from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import DATABASE_USER, KAFKA, Drill, Options, folder
from kcfix.drill.up import up
from kcfix.flow import Flow
from tests.real import dlq_world
from tests.real.conftest import eventually
from tests.real.matrix_faults import FULL, NOBODY, READER
from tests.real.repair_world import purchases

FLOW = Flow()
_AUTHORIZER = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:workers
"""


@contextlib.contextmanager
def drilled(name: str) -> Iterator[Drill]:
    """A drill with those users, removed afterwards."""

    def progress(text: str) -> None:
        # The broker's file is written by now and not read yet: rights can't be turned on while a broker runs.
        if text.startswith("starting Kafka"):
            _with_users(folder(name))

    try:
        drill = up(Options(name=name), progress)
        _grant_topics(drill)
        _grant_tables(drill)
        yield drill
    finally:
        down(name)


def _with_users(at: Path) -> None:
    file = at / KAFKA / "server.properties"
    text = file.read_text()
    known = f'user_{SASL_USER}="'
    more = "".join(f'user_{user}="{user}-pass" ' for user in (READER, NOBODY))
    assert known in text
    file.write_text(text.replace(known, more + known) + _AUTHORIZER)


def _grant_topics(drill: Drill) -> None:
    read, describe, configs = ACLOperation.READ, ACLOperation.DESCRIBE, ACLOperation.DESCRIBE_CONFIGS
    rights = {
        (ResourceType.TOPIC, "*"): (read, describe, configs),
        (ResourceType.GROUP, "*"): (describe,),
        (ResourceType.CLUSTER, "kafka-cluster"): (describe, configs),
    }
    with contextlib.closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
        admin.create_acls(
            [
                ACL(f"User:{READER}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(*resource))
                for resource, operations in rights.items()
                for operation in operations
            ]
        )


def _grant_tables(drill: Drill) -> None:
    with psycopg.connect(drill.dsn, autocommit=True) as database:
        for user in (READER, NOBODY, FULL):
            database.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{user}-pass'".encode())
        database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}".encode())
        database.execute(f"ALTER ROLE {READER} SET default_transaction_read_only = on".encode())
        database.execute(f"GRANT {DATABASE_USER} TO {FULL}".encode())
        database.execute(
            f"""CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF session_user = '{FULL}' THEN
                  RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
                END IF; RETURN coalesce(NEW, OLD); END $$;
                CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE OR DELETE ON student_course_purchases
                FOR EACH ROW EXECUTE FUNCTION disk_full()""".encode()
        )


@dataclass(frozen=True, slots=True)
class Stock:
    """Payments for the commands that change nothing to be about."""

    settled: str
    letter: str
    missing: str
    other: str
    """Without a purchase as well."""


def stock(drill: Drill) -> Stock:
    """Let customers pay, so that each partition has something that was read."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    settled = [buy(drill, 2, partition=p, at=at)[0] for p in range(3)]
    with psycopg.connect(drill.dsn, autocommit=True) as database:
        eventually(lambda: all(purchases(database, i) for i in settled))
    (letter,) = dead_lettered(drill, 1)
    return Stock(settled[0], letter, *without_purchase(drill, 2))


def without_purchase(drill: Drill, count: int) -> list[str]:
    """Payments whose message was never sent."""
    return buy(drill, count, unsent=True, at=datetime.now(UTC) - timedelta(minutes=5)) if count else []


def dead_lettered(drill: Drill, count: int) -> list[str]:
    """Payments whose message was dead-lettered, and whose purchase is gone."""
    if not count:
        return []
    with psycopg.connect(drill.dsn, autocommit=True) as database:
        lost = dlq_world.lost(drill, database, count, partition=1)
    for payment in lost:
        dlq_world.letters(drill, payment)
    return lost
