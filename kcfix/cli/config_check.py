"""`kcfix config check`: each system tried, and what is wrong said in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kcfix.cli.config_show import discovered, shown_text
from kcfix.cli.guards import same_system
from kcfix.core.redact import is_secret, redact_value, secrets_of
from kcfix.core.setup.checkup import (
    Check,
    Status,
    code_of,
    database_checks,
    docker_checks,
    failed,
    kafka_checks,
    tried,
)
from kcfix.errors import NOT_WELL, KcfixError, Refused, Unreachable
from kcfix.jsonable import plain
from kcfix.render.view import Cell, Column, Problem, Table, Text, Tone, View
from kcfix.services import Services
from kcfix.settings import SETTINGS, Settings, Source
from kcfix.settings.parse import NONE
from kcfix.settings.passwords import Secret, pointer, withheld

PATIENCE = 3
"""A system that answers, but slowly, may take so many times the deadline of one call for all of its checks."""
TONES = {Status.OK: Tone.GOOD, Status.CAUTION: Tone.WARN, Status.FAILED: Tone.BAD}


def check_systems(services: Services) -> View:
    """Try Docker, Kafka and PostgreSQL at the same time; nothing is changed, no secret is shown."""
    settings = services.settings
    seconds = (settings.timeout * PATIENCE + settings.connect_timeout).total_seconds()
    tasks: Mapping[str, Callable[[], tuple[Check, ...]]] = {
        "docker": lambda: _docker(services),
        "kafka": lambda: _kafka(services),
        "database": lambda: _database(services),
    }
    services.progress("trying Docker, Kafka and PostgreSQL")
    answers = services.readings(tasks, deadline=seconds)
    checks = [*_settings(services)]
    for system, answer in answers.items():
        checks += [failed(system, "deadline", answer)] if isinstance(answer, KcfixError) else answer
    checks += _same(services, checks)
    return _view(services, checks)


def _docker(services: Services) -> tuple[Check, ...]:
    settings = services.settings
    given = settings.docker_host not in (None, NONE) or settings.docker_context is not None
    needed = given or (settings.docker_host != NONE and not (settings.brokers and settings.dsn))
    return tuple(docker_checks(lambda: services.docker, lambda: services.discovery, needed=needed))


def _kafka(services: Services) -> tuple[Check, ...]:
    try:
        brokers = ", ".join(services.brokers[0])
    except KcfixError:
        brokers = ""
    return tried("kafka", kafka_checks(lambda: services.kafka, services.flow, brokers))


def _database(services: Services) -> tuple[Check, ...]:
    apart = services.settings.payments_dsn is not None
    return tried("database", database_checks(lambda: services.database, services.flow, apart=apart))


def _settings(services: Services) -> list[Check]:
    """The context, every setting that somebody made or that was discovered, and what is doubtful about them."""
    settings = services.settings
    name = settings.context + (" (protected)" if settings.protected else "")
    found = [Check("settings", "context", Status.OK, name)]
    told, _ = discovered(services)
    for setting in SETTINGS:
        value, origin = getattr(settings, setting.name), settings.origin(setting.name)
        if origin.source is Source.DEFAULT and setting.name in told:
            value, origin = told[setting.name]
        if origin.source is Source.DEFAULT or setting.name == "protected":
            continue
        text = shown_text(plain(redact_value(setting.name, value)))
        found.append(Check("settings", setting.name, Status.OK, f"{text or '-'} ({origin})"))
    found += [
        Check("settings", variable, Status.CAUTION, "leads this context elsewhere than its file: no change is made")
        for variable in settings.redirected
    ]
    for secret in Secret:
        one = pointer(settings, secret)
        if one is not None and (why := withheld(settings, secret, one)) is not None:
            found.append(Check("settings", one.setting, Status.CAUTION, why))
    files = _files_with_secrets(settings)
    found += [
        Check(
            "settings",
            "file mode",  # not "secrets": before a colon that would have the hint masked
            Status.CAUTION,
            f"{path} holds a password and can be read by others",
            hint=f"chmod 600 {path}",
        )
        for path in services.readable_by_others(files)
    ]
    return found


def _files_with_secrets(settings: Settings) -> list[str]:
    """The settings files in which a password stands."""
    found = []
    for name, origin in settings.origins.items():
        value = getattr(settings, name)
        holds = isinstance(value, str) and (is_secret(name) or any(secrets_of(value)))
        holds |= isinstance(value, Mapping) and any(is_secret(str(key)) for key in value)
        if holds and origin.source is Source.FILE:
            found.append(origin.where.partition(" [")[0])
    return list(dict.fromkeys(found))


def _same(services: Services, checks: list[Check]) -> list[Check]:
    """Whether kcfix talks to the workers' own Kafka and database, where Docker can tell."""
    if any(check.system == "docker" and check.status is not Status.OK for check in checks):
        return []
    try:
        doubts = same_system(services)
    except Refused as error:
        return [Check("settings", "same system", Status.FAILED, error.message, hint=error.hint, code=NOT_WELL)]
    except Unreachable:
        return []
    if doubts:
        return [Check("settings", "same system", Status.CAUTION, doubt) for doubt in doubts]
    return [Check("settings", "same system", Status.OK, "the workers are configured with this Kafka and database")]


def _view(services: Services, checks: list[Check]) -> View:
    bad = [check for check in checks if check.status is Status.FAILED]
    # What failed says its hint on standard error.
    hints = tuple(
        (Cell(f"{check.system} {check.what}: ", Tone.DIM), check.hint)
        for check in checks
        if check.hint is not None and check.status is not Status.FAILED
    )
    table = Table(
        columns=(Column("SYSTEM"), Column("CHECK"), Column("STATUS"), Column("WHAT", wrap=True)),
        rows=tuple((c.system, c.what, Cell(str(c.status), TONES[c.status]), c.text) for c in checks),
    )
    return View(
        schema="config-check",
        sections=(table, *([Text(hints, title="what to do")] if hints else [])),
        data=[
            {
                "system": check.system,
                "check": check.what,
                "status": check.status,
                "text": check.text,
                "obstacle": check.obstacle,
                "hint": check.hint,
            }
            for check in checks
        ],
        summary={status.lower(): sum(1 for c in checks if c.status is status) for status in Status},
        errors=tuple(Problem(c.code, c.kind, f"{c.system}: {c.text}", c.hint) for c in bad),
        ids=tuple(f"{c.system} {c.what}" for c in bad),
        exit_code=code_of(checks),
    )
