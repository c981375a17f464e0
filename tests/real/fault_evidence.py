"""What shows that a fault is there, looked at with plain SQL, Kafka and Docker, never through what kcfix concludes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import psycopg
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import NotEnoughReplicasError

from kcfix.core.events import Message, advisory_lock_key
from kcfix.drill import groups, wire
from kcfix.drill.engine import Engine
from kcfix.drill.faults import Broken
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import DATABASE, KAFKA, POSTGRES, Drill
from kcfix.errors import NotFound
from kcfix.flow import Flow

FLOW = Flow()
WORKER, GROUP, TOPIC = FLOW.purchase_worker, FLOW.purchase_group, FLOW.purchase_confirmed
ALLOCATION, SESSION, CACHE = FLOW.allocation_worker, FLOW.session_worker, FLOW.cache_worker
ALLOCATION_GROUP, SESSION_GROUP = FLOW.allocation_group, FLOW.session_group
Look = Callable[[Drill, Engine, Broken], object]


def ask(drill: Drill, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of a query to the drill's database."""
    with psycopg.connect(drill.dsn, connect_timeout=5) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def purchases(drill: Drill, payments: Sequence[str]) -> int:
    """How many active purchases the students of these payments have."""
    [[count]] = ask(
        drill,
        """SELECT count(DISTINCT s.id) FROM payments AS p JOIN student_course_purchases AS s USING (student_id)
           WHERE p.id = ANY(%s::uuid[]) AND s.is_active""",
        list(payments),
    )
    return int(count)


def settled(drill: Drill, payments: Sequence[str]) -> bool:
    """Whether each of these payments that still counts as paid has an active purchase of its student and course."""
    return not ask(
        drill,
        """SELECT 1 FROM payments AS p WHERE p.id = ANY(%s::uuid[]) AND p.status = 'succeeded' AND NOT EXISTS (
             SELECT 1 FROM student_course_purchases AS s WHERE s.student_id = p.student_id AND s.is_active
               AND s.course_id::text = p.metadata->>'courseId')""",
        list(payments),
    )


def state(drill: Drill, engine: Engine, service: str) -> dict[str, Any]:
    """What Docker says of the state of a service's container."""
    found: dict[str, Any] = engine.container(drill, service).attrs["State"]
    return found


def said(service: str, *words: str) -> Look:
    """The log of the service's container holds all these words since the fault was made."""

    def look(drill: Drill, engine: Engine, made: Broken) -> bool:
        since = int(made.since.timestamp())
        log = engine.container(drill, service).logs(since=since).decode(errors="replace")
        return all(word in log for word in words)

    return look


def exited(service: str, code: int, group: str | None = None) -> Look:
    """The service's container has exited with that code, and its group is empty."""

    def look(drill: Drill, engine: Engine, _: Broken) -> bool:
        now = state(drill, engine, service)
        empty = group is None or groups.standing(drill, group).state == "Empty"
        return empty and now["Status"] == "exited" and now["ExitCode"] == code

    return look


def paused(service: str) -> Look:
    """The service's container is paused."""
    return lambda drill, engine, _: state(drill, engine, service)["Status"] == "paused"


def crashes(service: str, *words: str) -> Look:
    """Docker has started the service's container again, and its log holds these words."""

    def look(drill: Drill, engine: Engine, made: Broken) -> bool:
        again = engine.container(drill, service).attrs["RestartCount"] >= 1
        return again and bool(said(service, *words)(drill, engine, made))

    return look


def both(*looks: Look) -> Look:
    """All of these."""
    return lambda drill, engine, made: all(look(drill, engine, made) for look in looks)


def unpaid(drill: Drill, _: Engine, made: Broken) -> bool:
    """None of the fault's payments has a purchase."""
    return bool(made.payments) and purchases(drill, made.payments) == 0


def waiting(drill: Drill) -> dict[int, int]:
    """Messages past the committed offset, by partition, where there is one."""
    ends = wire.ends(drill, TOPIC)
    return {p: ends[p][1] - offset for p, offset in groups.committed(drill, GROUP, TOPIC).items()}


def lags(drill: Drill, _engine: Engine, _made: Broken) -> bool:
    """Something waits past a committed offset."""
    return any(waiting(drill).values())


def behind(drill: Drill, _engine: Engine, _made: Broken) -> bool:
    """Nothing waits: every partition is committed up to its end."""
    return not any(waiting(drill).values())


def poisoned(words: str = "") -> Look:
    """A dead letter says so, or the log where there is no topic for one; what it is about has no purchase."""

    def look(drill: Drill, engine: Engine, made: Broken) -> bool:
        if topic_gone(FLOW.dead_letters)(drill, engine, made):
            return bool(said(WORKER, words)(drill, engine, made)) and purchases(drill, made.poison) == 0
        keys = {*made.poison, *made.payments, "unknown"}
        letters = [r for r in wire.records(drill, FLOW.dead_letters) if (r.key or b"").decode() in keys]
        return any(words.encode() in (r.value or b"") for r in letters) and purchases(drill, made.poison) == 0

    return look


def not_in_the_log(drill: Drill, *, recorded: bool, made: Broken) -> bool:
    """The fault's payments have no message, and a row of processed_events or none."""
    keys = {r.key for r in wire.records(drill, TOPIC)}
    rows = ask(drill, "SELECT source FROM processed_events WHERE correlation_id = %s::uuid", made.payments[-1])
    return (rows == [("payment-service",)]) == recorded and made.payments[-1].encode() not in keys


def topic_gone(topic: str) -> Look:
    """The broker does not list the topic."""

    def look(drill: Drill, _engine: Engine, _made: Broken) -> bool:
        with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
            return topic not in admin.list_topics()

    return look


def configured(name: str, value: str) -> Look:
    """purchase-confirmed has this setting."""

    def look(drill: Drill, _engine: Engine, _made: Broken) -> bool:
        with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
            found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)])
        return f"'{value}'" in str(found) and name in str(found)

    return look


def refused_by_broker(drill: Drill, _engine: Engine, made: Broken) -> bool:
    """A message as large as any is not taken."""
    [sent] = wire.send(drill, [Message(TOPIC, b"k", b"{" + b" " * 900 + b"}", ())])
    return sent.offset is None and not_in_the_log(drill, recorded=True, made=made)


def too_few_replicas(drill: Drill, _engine: Engine, made: Broken) -> bool:
    """A message that asks for all replicas is refused for want of them."""
    with closing(KafkaProducer(**kafka_settings(drill), acks="all", retries=0)) as producer:
        try:
            producer.send(TOPIC, value=b"{}", key=b"k").get(timeout=10)
        except NotEnoughReplicasError:
            return not_in_the_log(drill, recorded=True, made=made)
    return False


def rows(query: str, *, count: int = 1) -> Look:
    """The query, which may join `payments`, gives at least so many rows for the fault's payments."""

    def look(drill: Drill, _: Engine, made: Broken) -> bool:
        ids = [*made.payments, *made.state.get("stuck", []), *made.state.get("second", [])]
        return len(ask(drill, query, ids)) >= count

    return look


def worker_missing(drill: Drill, engine: Engine, _: Broken) -> bool:
    """Docker knows no such container."""
    try:
        engine.container(drill, WORKER)
    except NotFound:
        return True
    return False


def out_of_memory(drill: Drill, engine: Engine, _: Broken) -> bool:
    """The kernel kills the process, again and again."""
    attrs = engine.container(drill, WORKER).attrs
    return bool(attrs["RestartCount"] >= 2 and attrs["State"]["OOMKilled"] and attrs["State"]["ExitCode"] == 137)


def not_restarted(drill: Drill, engine: Engine, _: Broken) -> bool:
    """Dead, and no policy to start it again."""
    attrs = engine.container(drill, WORKER).attrs
    return bool(attrs["HostConfig"]["RestartPolicy"]["Name"] == "no" and attrs["State"]["ExitCode"] == 137)


def networks_of(drill: Drill, engine: Engine, service: str) -> dict[str, Any]:
    """The networks of the service's container."""
    found: dict[str, Any] = engine.container(drill, service).attrs["NetworkSettings"]["Networks"]
    return found


def broker_gone(drill: Drill, engine: Engine, _: Broken) -> bool:
    """No message is taken, and the container has exited."""
    [sent] = wire.send(drill, [Message(TOPIC, b"nowhere", b"{}", ())])
    return sent.offset is None and engine.container(drill, KAFKA).status == "exited"


def broker_nameless(drill: Drill, engine: Engine, made: Broken) -> bool:
    """From the host it answers; a worker can't resolve its name."""
    answers = groups.standing(drill, GROUP).state in ("Stable", "Empty", "PreparingRebalance")
    aliases = networks_of(drill, engine, KAFKA)[drill.network]["Aliases"] or []
    return answers and KAFKA not in aliases and bool(said(WORKER, "ENOTFOUND kafka")(drill, engine, made))


def elsewhere(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The purchases are in another database, and nothing waits."""
    other = drill.dsn.removesuffix(DATABASE) + "kc_app_old"
    with psycopg.connect(other) as connection:
        row = connection.execute("SELECT count(*) FROM student_course_purchases").fetchone()
    return row == (2,) and unpaid(drill, engine, made) and behind(drill, engine, made)


def two_groups(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The worker's group is empty and lags; another has its member."""
    old, new = groups.standing(drill, GROUP), groups.standing(drill, "purchase-creation-worker")
    return (old.state, new.state) == ("Empty", "Stable") and lags(drill, engine, made) and unpaid(drill, engine, made)


def shared_group(drill: Drill, _: Engine, made: Broken) -> bool:
    """Two kinds of clients in the group, none in the other, and not all payments get their purchase."""
    clients = groups.standing(drill, GROUP).clients
    kinds = {c.rpartition("-")[0] for c in clients}
    empty = not groups.standing(drill, ALLOCATION_GROUP).clients
    return kinds == {WORKER, ALLOCATION} and empty and purchases(drill, made.payments) < len(made.payments)


def swallowed(drill: Drill, engine: Engine, made: Broken) -> bool:
    """A stranger is in the group, nothing waits, and not all payments have their purchase."""
    stranger = "debug-consumer" in groups.standing(drill, GROUP).clients
    return stranger and behind(drill, engine, made) and purchases(drill, made.payments) < len(made.payments)


def committed_and_lost(drill: Drill, engine: Engine, made: Broken) -> bool:
    """Behind the committed offsets, without dead letter and purchase."""
    offsets = groups.committed(drill, GROUP, TOPIC)
    passed = {(r.key or b"").decode() for r in wire.records(drill, TOPIC) if r.offset < offsets.get(r.partition, 0)}
    letters = {(r.key or b"").decode() for r in wire.records(drill, FLOW.dead_letters)}
    mine = set(made.payments)
    return mine <= passed and not mine & letters and unpaid(drill, engine, made)


def slow(drill: Drill, engine: Engine, made: Broken) -> bool:
    """Many wait, some are done, nothing has failed."""
    done = purchases(drill, made.payments)
    return (
        sum(waiting(drill).values()) > 10
        and done >= 1
        and "error" not in str(engine.container(drill, WORKER).logs(tail=5))
    )


def never_committed(drill: Drill, engine: Engine, made: Broken) -> bool:
    """Stable without offsets, and nothing bought."""
    stable = groups.standing(drill, GROUP).state == "Stable"
    return stable and groups.committed(drill, GROUP, TOPIC) == {} and unpaid(drill, engine, made)


def expired(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The same without a worker."""
    down = engine.container(drill, WORKER).status == "exited"
    return down and groups.committed(drill, GROUP, TOPIC) == {} and unpaid(drill, engine, made)


def truncated(drill: Drill, engine: Engine, made: Broken) -> bool:
    """Nothing of the log is left, and no offset within it: kafkajs commits -1 where it was out of range."""
    starts = {p: start for p, (start, _) in wire.ends(drill, TOPIC).items()}
    offsets = groups.committed(drill, GROUP, TOPIC)
    return all(offsets.get(p, -1) < starts[p] for p in starts) and unpaid(drill, engine, made)


def hot(drill: Drill, _engine: Engine, _made: Broken) -> bool:
    """One partition waits, the others do not."""
    lag = waiting(drill)
    return lag.get(1, 0) > 50 and not lag.get(0) and not lag.get(2)


def partitions(drill: Drill, engine: Engine, made: Broken) -> bool:
    """Four partitions, and the payment on the fourth is not read."""
    ends = wire.ends(drill, TOPIC)
    return len(ends) == 4 and ends[3][1] >= 1 and unpaid(drill, engine, made)


def consumer_dead(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The container runs, the group is empty, and something waits."""
    runs = str(engine.container(drill, WORKER).status) == "running"
    return runs and groups.standing(drill, GROUP).state == "Empty" and lags(drill, engine, made)


def refuses(words: str) -> Look:
    """The database does not let anyone in, saying so."""

    def look(drill: Drill, _engine: Engine, _made: Broken) -> bool:
        try:
            psycopg.connect(drill.dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return words in str(error)
        return False

    return look


def hangs(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The database is paused."""
    return bool(refuses("timeout")(drill, engine, made) and paused(POSTGRES)(drill, engine, made))


def holds(query: str) -> Look:
    """A session of another program that is idle in its transaction holds such a lock."""

    def look(drill: Drill, _engine: Engine, _made: Broken) -> bool:
        return bool(
            ask(
                drill,
                f"""SELECT 1 FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
                    WHERE a.state = 'idle in transaction' AND a.application_name = 'report-job' AND l.granted
                      AND {query}""",  # noqa: S608 - the query is this file's own
            )
        )

    return look


def purchase_locked(drill: Drill, engine: Engine, made: Broken) -> bool:
    """The lock is the one of the payment's student and course, and the worker waits for it."""
    [(student, course)] = ask(
        drill, "SELECT student_id::text, metadata->>'courseId' FROM payments WHERE id = %s", made.payments[0]
    )
    key = advisory_lock_key(student, course)
    waits = ask(drill, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", key)
    return bool(waits) and bool(holds("l.locktype = 'advisory'")(drill, engine, made))


def index_missing(drill: Drill, _engine: Engine, _made: Broken) -> bool:
    """No such index."""
    return not ask(drill, "SELECT 1 FROM pg_indexes WHERE indexname = 'unique_active_purchase'")


def index_invalid(drill: Drill, _engine: Engine, _made: Broken) -> bool:
    """The index is there and not valid."""
    asked = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('unique_active_purchase')"
    return ask(drill, asked) == [(False,)]


def no_trainer(words: str) -> Look:
    """Pending rows without a trainer, saying why."""
    return rows(
        f"""SELECT 1 FROM trainer_allocations AS t JOIN payments AS p USING (student_id)
            WHERE t.status = 'pending' AND t.trainer_id IS NULL AND p.id = ANY(%s::uuid[])
              AND t.metadata::text LIKE '%%{words}%%'""",  # noqa: S608 - the words are this file's own
    )


_BOUGHT = """SELECT p.metadata FROM payments AS p JOIN student_course_purchases AS s USING (student_id)
             WHERE p.id = ANY(%s::uuid[]) AND s.is_active AND """

EVIDENCE: dict[str, Look] = {
    "worker-stopped": exited(WORKER, 0, GROUP),
    "worker-removed": worker_missing,
    "worker-crash-looping": crashes(WORKER, "REDIS_URL environment variable is required"),
    "worker-killed": exited(WORKER, 137),
    "worker-paused": paused(WORKER),
    "worker-oom-killed": out_of_memory,
    "worker-not-restarted": both(exited(WORKER, 137), not_restarted),
    "worker-off-network": lambda drill, engine, _: not networks_of(drill, engine, WORKER),
    "allocation-worker-stopped": exited(ALLOCATION, 0, ALLOCATION_GROUP),
    "session-worker-stopped": exited(SESSION, 0, SESSION_GROUP),
    "cache-worker-stopped": exited(CACHE, 0, FLOW.cache_group),
    "cache-worker-crash-looping": crashes(CACHE, "REDIS_URL environment variable is required"),
    "broker-down": broker_gone,
    "broker-paused": paused(KAFKA),
    "broker-will-not-start": both(exited(KAFKA, 1), said(KAFKA, "node.id")),
    "broker-name-lost": broker_nameless,
    "database-down": both(exited(POSTGRES, 0), refuses("refused")),
    "database-paused": hangs,
    "brokers-unset": both(said(WORKER, "ECONNREFUSED", ":9092"), lags),
    "brokers-wrong-name": both(said(WORKER, "ENOTFOUND kafak"), lags),
    "sasl-not-configured": both(said(WORKER, "Closed connection"), lags),
    "sasl-password-wrong": both(said(WORKER, "SASL PLAIN authentication failed"), lags),
    "postgres-url-unset": both(said(WORKER, "ECONNREFUSED", ":5432"), poisoned("ECONNREFUSED")),
    "postgres-password-wrong": both(said(WORKER, "password authentication failed"), poisoned("password")),
    "postgres-tls-wrong": both(said(WORKER, "does not support SSL"), poisoned("SSL")),
    "postgres-wrong-database": elsewhere,
    "wrong-group": two_groups,
    "wrong-topic": both(crashes(WORKER, "does not host this topic-partition"), lags),
    "program-does-not-load": both(crashes(WORKER, "Cannot find module"), lags),
    "program-ahead-of-database": poisoned("start_date"),
    "slow-consumer": slow,
    "commit-before-write": committed_and_lost,
    "group-shared": shared_group,
    "offsets-never-committed": never_committed,
    "offsets-expired": expired,
    "offsets-reset-to-latest": committed_and_lost,
    "log-truncated": truncated,
    "hot-partition": hot,
    "stray-consumer": swallowed,
    "topic-missing": both(topic_gone(TOPIC), crashes(WORKER, "does not host this topic-partition")),
    "announcement-topic-missing": topic_gone(FLOW.purchase_created),
    "dead-letter-topic-missing": topic_gone(FLOW.dead_letters),
    "partition-added": partitions,
    "message-too-large": both(configured("max.message.bytes", "200"), refused_by_broker),
    "min-insync-replicas-too-high": both(configured("min.insync.replicas", "2"), too_few_replicas),
    "retention-too-short": configured("retention.ms", "300000"),
    "message-never-sent": lambda drill, _, made: not_in_the_log(drill, recorded=True, made=made),
    "payment-never-emitted": lambda drill, _, made: not_in_the_log(drill, recorded=False, made=made),
    "poison-message": both(poisoned("check constraint"), lags),
    "poison-message-unprotected": poisoned("check constraint"),
    "poison-unknown-course": both(poisoned("foreign key"), lags),
    "poison-without-metadata": both(poisoned("invalid input syntax for type uuid"), lags),
    "consumer-dead": both(consumer_dead, said(WORKER, "Crash: KafkaJSNonRetriableError")),
    "message-cut-short": both(consumer_dead, said(WORKER, "Crash: KafkaJSNonRetriableError")),
    "payment-without-course": rows("SELECT 1 FROM payments WHERE id = ANY(%s::uuid[]) AND NOT metadata ? 'courseId'"),
    "wrong-tier": rows(_BOUGHT + "s.purchase_tier = 30 AND p.amount_cents = 360000"),
    "double-charge": rows(_BOUGHT + "true", count=2),
    "upgrade-swallowed": rows(_BOUGHT + "s.purchase_tier = 10 AND p.metadata ? 'upgrade'"),
    "payment-stuck": rows(
        "SELECT 1 FROM payments WHERE id = ANY(%s::uuid[]) AND status = 'processing' AND expires_at < now()"
    ),
    "clock-skew": rows(
        "SELECT 1 FROM payments WHERE id = ANY(%s::uuid[]) AND confirmed_at > now() + interval '1 hour'", count=3
    ),
    "purchase-by-hand": rows(_BOUGHT + "s.metadata = '{}'"),
    "index-dropped": index_missing,
    "index-invalid": index_invalid,
    "duplicate-purchases": both(index_missing, rows(_BOUGHT + "true", count=2)),
    "database-read-only": poisoned("read-only transaction"),
    "database-password-revoked": both(refuses("password"), said(WORKER, "password authentication failed")),
    "events-table-missing": both(
        said(WORKER, 'relation \\"processed_events\\" does not exist'), poisoned("does not exist")
    ),
    "events-table-old-shape": said(ALLOCATION, "invalid input syntax for type uuid"),
    "column-renamed": poisoned("expiry_date"),
    "table-locked": holds("l.mode = 'AccessExclusiveLock'"),
    "purchase-locked": purchase_locked,
    "connections-exhausted": both(refuses("too many clients"), said(WORKER, "too many clients")),
    "no-trainers": no_trainer("no_available_trainers"),
    "system-admin-missing": no_trainer("foreign key"),
    "student-without-place": said(ALLOCATION, "STUDENT GPS ISSUE"),
    "session-slot-constraint-missing": both(
        said(SESSION, "ON CONFLICT specification"),
        rows("SELECT 1 FROM payments WHERE id = ANY(%s::uuid[])"),
    ),
}
