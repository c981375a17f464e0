"""Pairs of faults that are found together: one thing done to a system is seldom the only one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Two faults that can be present at once, in the order in which they are made."""

    first: str
    second: str
    why: str
    """Why the two occur together, in a line."""

    @property
    def names(self) -> tuple[str, str]:
        """Both names, in the order in which they are made; they are mended the other way round."""
        return (self.first, self.second)


PAIRS = (
    Pair("message-never-sent", "broker-down", "what was paid while the broker went down stays unsent after it is back"),
    Pair(
        "message-never-sent", "worker-stopped", "one incident, two gaps: the send failed first, then the worker ended"
    ),
    Pair("payment-never-emitted", "message-never-sent", "payment-service was restarted while Kafka was away"),
    Pair("payment-never-emitted", "worker-crash-looping", "one bad environment file for both services"),
    Pair("poison-message", "worker-stopped", "somebody stopped the worker to end its loop, and left it"),
    Pair("poison-message", "index-dropped", "migration 002 failed as a whole: neither index nor tidy data"),
    Pair("dead-letter-topic-missing", "poison-message", "kafka-init failed quietly, and now something fails"),
    Pair("message-never-sent", "poison-message", "two payments of one evening with two stories"),
    Pair("poison-message", "session-worker-stopped", "somebody stopped the wrong worker to end the loop"),
    Pair("poison-message-unprotected", "payment-without-course", "a form that lost fields lost the course, too"),
    Pair(
        "poison-unknown-course", "payment-without-course", "a catalogue was reorganised: one course gone, one unnamed"
    ),
    Pair("poison-without-metadata", "purchase-by-hand", "a repair by hand: one payment sent by script, one inserted"),
    Pair("consumer-dead", "message-never-sent", "a repair by console producer for a payment that was not sent"),
    Pair("consumer-dead", "cache-worker-stopped", "the dead consumer looks healthy; the cache worker is what is seen"),
    Pair("double-charge", "message-cut-short", "the student paid again, and a script tried to help"),
    Pair("offsets-never-committed", "allocation-worker-stopped", "all was restarted, one did not come back"),
    Pair("offsets-never-committed", "poison-message-unprotected", "the first message after the loss is poison"),
    Pair("retention-too-short", "offsets-expired", "both are kept for too short a time"),
    Pair(
        "offsets-reset-to-latest",
        "poison-message",
        "the reset that the notes recommend, against a loop, and it loops on",
    ),
    Pair("offsets-reset-to-latest", "stray-consumer", "somebody looked into the topic with the group's own name"),
    Pair("log-truncated", "worker-paused", "frozen for a snapshot, twice: once too long"),
    Pair("worker-stopped", "allocation-worker-stopped", "`docker compose stop` named both"),
    Pair("retention-too-short", "worker-stopped", "what waits for the worker will soon be gone"),
    Pair("worker-removed", "index-dropped", "a deployment that broke off after its migration"),
    Pair("message-never-sent", "worker-killed", "the host ran out of memory and took a send with it"),
    Pair("worker-oom-killed", "cache-worker-stopped", "limits were set for all workers; one was taken off again"),
    Pair("worker-not-restarted", "session-worker-stopped", "the host was restarted, policies were missing"),
    Pair("worker-off-network", "dead-letter-topic-missing", "a new Compose file with half of the old one"),
    Pair("brokers-unset", "cache-worker-crash-looping", "an environment file lost two of its lines"),
    Pair("brokers-wrong-name", "index-dropped", "a new environment: a mistyped name, a migration not run"),
    Pair("retention-too-short", "sasl-password-wrong", "a move to a managed broker: its passwords and its defaults"),
    Pair(
        "postgres-password-wrong", "allocation-worker-stopped", "a password was changed, one worker forgotten, one off"
    ),
    Pair("double-charge", "postgres-wrong-database", "nothing came, so the student paid again"),
    Pair("wrong-group", "purchase-by-hand", "a deployment that skipped payments, and somebody who helped one by hand"),
    Pair("wrong-topic", "payment-stuck", "a release of two services that broke both"),
    Pair("no-trainers", "slow-consumer", "a rush: more payments than the worker, more pupils than trainers"),
    Pair("commit-before-write", "student-without-place", "a careless release that also lost an address"),
    Pair("topic-missing", "dead-letter-topic-missing", "topics were made anew by the old script, which lacks some"),
    Pair("partition-added", "cache-worker-stopped", "scaling up, and a worker left behind"),
    Pair("wrong-tier", "message-too-large", "a new shape of metadata: too large for one, a text for another"),
    Pair("index-invalid", "no-trainers", "the index was repaired in a rush in which trainers ran out"),
    Pair("duplicate-purchases", "purchase-by-hand", "scripts of the same evening: one twice, one without announcement"),
    Pair("message-never-sent", "table-locked", "a report in the busiest hour, in which a send timed out"),
    Pair(
        "session-slot-constraint-missing",
        "purchase-locked",
        "a repair script was left open half-way through its migration",
    ),
    Pair("connections-exhausted", "allocation-worker-stopped", "somebody stopped a worker to free connections"),
    Pair("system-admin-missing", "payment-stuck", "an account was deleted that two services acted as"),
    Pair("events-table-missing", "worker-stopped", "stopped for a migration that broke off"),
    Pair("database-down", "broker-down", "the host that both run on was restarted"),
    Pair(
        "worker-stopped", "database-paused", "a database asleep after a quiet week, and a worker stopped to save money"
    ),
    Pair("cache-worker-stopped", "broker-paused", "a host at its limits"),
)


def pairs() -> tuple[Pair, ...]:
    """All pairs, in the order in which they are listed."""
    return PAIRS
