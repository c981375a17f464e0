"""Rules about PostgreSQL: whether it answers, whom it lets in, what it refuses and what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, always, because, same
from kcfix.core.doctor.rules.proof import (
    anew_after,
    container_line,
    event_lines,
    lately,
    log_line,
    psql,
    required,
    things_of,
    trouble_thing,
)
from kcfix.core.doctor.troubles import Telling, Trouble
from kcfix.core.redact import secrets_of
from kcfix.core.workers import ContainerState

DATABASE = Thing("system", "database")


_DENIED = re.compile(r"refused the user|asks for a password|admits no such user|does not let this user|may not connect")


FULL = re.compile(r"no free connection")


NEARLY_FULL = 0.9


LONG = timedelta(minutes=5)

"""A transaction that is open for longer is worth a look."""


WAITING = timedelta(seconds=5)

"""A session that waits longer for a lock is no passing matter."""


def fact(text: str) -> Evidence:
    return Evidence(EvidenceKind.DATABASE, text)


def told_of(examination: Examination, *troubles: Trouble) -> tuple[Telling, ...]:
    """Lines of now, of any worker, that tell of one of these, oldest first."""
    found = [t for w in required(examination) for t in lately(examination, w, frozenset(troubles))]
    return tuple(sorted(found, key=lambda t: t.entry.timestamp))


def _tellers(examination: Examination, *troubles: Trouble) -> tuple[Thing, ...]:
    """The workers whose lines tell of it, with their containers and groups."""
    return tuple(
        thing for w in required(examination) if lately(examination, w, frozenset(troubles)) for thing in things_of(w)
    )


def database_down(examination: Examination) -> Iterator[Found]:
    """The database does not answer, and its container on this engine does not run.

    The known system has no database in Compose: then see D002. Workers try for three seconds and then take the message
    for failed: with a committed offset it is tried again for as long as it takes, without one it is skipped, so an
    outage of seconds can cost payments.
    """
    error, box = examination.observed.database.error, examination.database_container
    if error is None or box is None or box.running:
        return
    start = f"docker unpause {box.name}" if box.state is ContainerState.PAUSED else f"docker start {box.name}"
    yield Found(
        symptom="the database does not answer: no purchase can be made",
        cause=f"its container {box.name} is {box.state.value.lower()}",
        evidence=(container_line(box, examination.at), *event_lines(examination, box), fact(error)),
        action=(start, "kcfix doctor"),
        about=(DATABASE, Thing("container", box.name), trouble_thing(Trouble.DATABASE_SILENT)),
        since=box.finished_at,
    )


def database_silent(examination: Examination) -> Iterator[Found]:
    """The database does not answer kcfix, and no container of it is seen to be down.

    A hosted database may be paused (free tiers pause idle ones; the first connection then takes a minute), the address
    may be wrong, or the network. Payments can't even be looked at: everything about them is unchecked.
    """
    error, box = examination.observed.database.error, examination.database_container
    if error is None or (box is not None and not box.running) or _DENIED.search(error) or FULL.search(error):
        return
    lines = told_of(examination, Trouble.DATABASE_SILENT, Trouble.DATABASE_LOGIN)
    yield Found(
        symptom="the database does not answer kcfix",
        cause=error,
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=("kcfix config show", *((f"docker logs --tail 50 {box.name}",) if box is not None else ())),
        about=(DATABASE, trouble_thing(Trouble.DATABASE_SILENT)),
        confidence=Confidence.LIKELY,
    )


def database_login(examination: Examination) -> Iterator[Found]:
    """The database refuses a login: a wrong password, an expired or missing user, an address that it does not admit.

    Where only one worker is refused, its own environment differs from that of the others: set it, and make the
    container anew (`up -d`; a restart does not read the environment again). Where all are, the password was changed at
    the database.
    """
    error = examination.observed.database.error
    refused = error is not None and bool(_DENIED.search(error))
    lines = told_of(examination, Trouble.DATABASE_LOGIN)
    health = examination.health.value
    roles = [
        r
        for r in (health.roles.values() if health is not None else ())
        if not r.exists or not r.may_log_in or r.expired
    ]
    if not (refused or lines or roles):
        return
    odd = _odd_passwords(examination)
    tellers = {t.entry.container for t in lines}
    causes = []
    if refused:
        causes.append(f"kcfix itself is refused: {error}")
        if lines:
            causes.append(
                "so are workers: the password was changed at the database, or the user may not log in any more"
            )
    for role in roles:
        what = "does not exist" if not role.exists else "may not log in" if not role.may_log_in else "has expired"
        causes.append(f"the user {role.name} {what}")
    if odd & tellers:
        causes.append(
            f"the password of {', '.join(sorted(odd & tellers))} is another one than that of the other workers"
        )
    if not causes:
        causes.append(lines[-1].words[:250])
    yield Found(
        symptom=(
            "the database refuses the workers' user"
            if refused or roles or not tellers
            else f"the database refuses {', '.join(sorted(tellers))}"
        ),
        cause="; ".join(causes),
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=(
            "kcfix config show",
            *(
                line
                for w in required(examination)
                if {c.name for c in w.containers or ()} & tellers
                for line in anew_after(w, "its POSTGRES_URL was set right")
            ),
        ),
        about=(DATABASE, *_tellers(examination, Trouble.DATABASE_LOGIN), trouble_thing(Trouble.DATABASE_LOGIN)),
        since=lines[0].entry.timestamp if lines else None,
    )


def _odd_passwords(examination: Examination) -> set[str]:
    """Containers whose password for the database is not the one that most have."""
    found = examination.discovery.value
    given = [(c.container, frozenset(secrets_of(c.dsn))) for c in (found.configured if found else ()) if c.dsn]
    counts: dict[frozenset[str], int] = {}
    for _, secret in given:
        counts[secret] = counts.get(secret, 0) + 1
    most = max(counts.values(), default=0)
    return {name for name, secret in given if counts[secret] < most}


def rights_missing(examination: Examination) -> Iterator[Found]:
    """The workers' user lacks a right on a table that it has to read or write."""
    health = examination.health.value
    lacking = {r.name: r.lacking for r in (health.roles.values() if health else ()) if r.exists and r.lacking}
    workers = _users(examination)
    for name, rights in sorted(lacking.items()):
        if name not in workers:
            continue
        lines = told_of(examination, Trouble.DATABASE_RIGHTS)
        yield Found(
            symptom=f"the user {name} lacks: {', '.join(rights)}",
            cause="the rights were revoked, or never granted",
            evidence=tuple(log_line(t.entry) for t in lines[-2:]),
            action=tuple(psql(f"GRANT {right} TO {name}") for right in rights),
            about=(DATABASE, trouble_thing(Trouble.DATABASE_RIGHTS)),
        )


def _users(examination: Examination) -> set[str]:
    from kcfix.core.setup.dsn import database_user

    found = examination.discovery.value
    return {u for c in (found.configured if found else ()) if c.dsn and (u := database_user(c.dsn)) is not None}


def read_only(examination: Examination) -> Iterator[Found]:
    """The database takes no writes: a standby after a fail-over, or `default_transaction_read_only`.

    Every purchase fails with 25006 and ends in the dead letters.
    """
    health, facts = examination.health.value, examination.observed.database.value
    lines = told_of(examination, Trouble.DATABASE_READ_ONLY)
    roles = [r.name for r in (health.roles.values() if health else ()) if r.read_only and r.name in _users(examination)]
    causes = []
    if health is not None and health.standby:
        causes.append("it is a standby: the addresses still point to the old primary, or to a replica")
    if health is not None and health.read_only_database:
        causes.append("default_transaction_read_only is set for the whole database")
    causes += [f"default_transaction_read_only is set for the user {name}" for name in roles]
    if not causes and facts is not None and facts.identity.read_only:
        causes.append("default_transaction_read_only is on for kcfix's session")
    if not causes and lines:
        causes.append(lines[-1].words[:250])
    if not causes or (facts is not None and not facts.identity.read_only and not lines and not roles):
        return
    label = facts.identity.label if facts is not None else "the database"
    name = facts.identity.name if facts is not None else "DATABASE"
    yield Found(
        symptom=f"{label} can't be written to",
        cause="; ".join(causes),
        evidence=tuple(log_line(t.entry) for t in lines[-2:]),
        action=(
            *(
                (psql(f"ALTER DATABASE {name} RESET default_transaction_read_only"),)
                if health and health.read_only_database
                else ()
            ),
            *(psql(f"ALTER ROLE {r} RESET default_transaction_read_only") for r in roles),
            "kcfix config show",
        ),
        about=(DATABASE, trouble_thing(Trouble.DATABASE_READ_ONLY)),
        since=lines[0].entry.timestamp if lines else None,
    )


NEED = frozenset({Need.DATABASE})


HEALTHY = NEED | {Need.HEALTH}


RULES = (
    Rule(
        "D001",
        Severity.ERROR,
        "The database's container does not run",
        database_down,
        frozenset({Need.DOCKER}),
        modes=("53",),
    ),
    Rule(
        "D002",
        Severity.ERROR,
        "The database does not answer",
        database_silent,
        frozenset(),
        because(same("system"), "C004", "D005"),
        ("53",),
    ),
    Rule("D003", Severity.ERROR, "The database refuses a login", database_login, frozenset()),
    Rule("D004", Severity.ERROR, "The workers' user lacks rights", rights_missing, HEALTHY | {Need.DOCKER}),
    Rule(
        "D006", Severity.ERROR, "The database takes no writes", read_only, frozenset(), because(always, "D001", "D002")
    ),
)
