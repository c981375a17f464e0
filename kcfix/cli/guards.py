"""What has to hold before anything is changed (docs/decisions.md 3, last line, and 4)."""

from __future__ import annotations

from collections.abc import Iterable

from kcfix.core.ports.database import IndexState
from kcfix.core.repair.plan import Action, Step
from kcfix.core.setup.same_system import differences
from kcfix.errors import KcfixError, Refused, Unreachable
from kcfix.services import Services

CONFIRM = "confirm"
"""The shared option that holds the typed name of a protected context."""


def unguarded(services: Services, steps: Iterable[Step]) -> tuple[str, ...]:
    """A warning where purchases are to be inserted and no unique index stops a second one (docs/decisions.md 1)."""
    if not any(step.action is Action.INSERT for step in steps):
        return ()
    try:
        index = services.database.schema().unique_active_purchase
    except KcfixError:
        return ()
    if index not in (IndexState.MISSING, IndexState.INVALID):
        return ()
    return (
        f"unique_active_purchase is {index}: the worker and other runs of kcfix are kept out by its lock, but scripts "
        "and course-service take none, and could make a second purchase at this very moment",
    )


def may_change(services: Services, *, reason: str, yes: bool, by_database: bool = True) -> None:
    """Return if this run may change something: a protected context wants a reason, and somebody has to say yes.

    `by_database`: the change rests on what the tables say, so that a standby must not be asked for it.

    Raises:
        Refused: it may not. Nothing was changed.
    """
    settings = services.settings
    if settings.redirected:
        variables = ", ".join(settings.redirected)
        raise Refused(
            f"context {settings.context} is led elsewhere by {variables}: nothing is changed by a variable's leave",
            hint=f"unset {' '.join(settings.redirected)}; if it is meant, give it as a flag",
        )
    if settings.protected and not reason.strip():
        raise Refused("this context is protected: a change needs --reason", hint='add --reason "why"')
    if settings.protected:
        _may_be_confirmed(services)
    if by_database:
        _is_primary(services)
    if not yes and not (services.stdin.isatty() and services.stderr.isatty()):
        raise Refused("there is no terminal to ask at", hint="add --yes to go ahead without the question")


def _is_primary(services: Services) -> None:
    """A database that does not answer is left to the change itself, which can't be made without it."""
    try:
        asked = (services.database.identity(), services.database.payments_identity())
    except KcfixError:
        return
    if copies := [one.label for one in asked if one.standby]:
        raise Refused(
            f"database {copies[0]} is a standby: it takes no change, and may not have all that was made",
            hint="give the primary's address: --dsn",
        )


def _may_be_confirmed(services: Services) -> None:
    name, typed = services.settings.context, services.given.get(CONFIRM)
    if typed is not None and typed != name:
        raise Refused(f"--confirm says {typed}, and the context is {name}")
    if typed is None and not (services.stdin.isatty() and services.stderr.isatty()):
        raise Refused(
            "this context is protected: its name has to be typed, and there is no terminal to type it at",
            hint=f"add --confirm {name}",
        )


def confirmed(services: Services) -> bool:
    """Return if the name of a protected context was typed, here or with --confirm; whether a person was asked for it.

    `--yes` does not skip this: a name that has to be typed shows that somebody knows where they are.

    Raises:
        Refused: it was not. Nothing was changed.
    """
    settings = services.settings
    if not settings.protected or services.given.get(CONFIRM) == settings.context:
        return False
    if not services.ask_word("This context is protected.", settings.context):
        raise Refused(f"the name of the context ({settings.context}) was not typed; nothing was changed")
    return True


def same_system(services: Services) -> tuple[str, ...]:
    """Warnings where it could not be checked that kcfix talks to the workers' own Kafka and database; empty if it does.

    Raises:
        Refused: several projects look alike, or kcfix talks to another cluster or database than the workers.
    """
    if services.settings.allow_other_system:
        return ()
    try:
        discovery = services.discovery
    except Unreachable as error:
        return (f"whether the workers use the same Kafka and database could not be checked: {error.message}",)
    if discovery.ambiguous:
        raise Refused(
            f"several Compose projects look alike: {', '.join(discovery.alike)}",
            hint="choose one with --project",
        )
    brokers, _ = services.brokers
    dsn, _ = services.dsn
    # Only compared, not connected to: so every name that the containers explain counts, whoever resolves it.
    addresses = {**discovery.addresses, **services.settings.address_map}
    found = differences(discovery.configured, brokers, dsn, addresses)
    if found:
        raise Refused(
            f"kcfix talks to another system than the workers: {'; '.join(found)}",
            hint="see `kcfix config show`; a context may say `allow_other_system = true`",
        )
    if not discovery.configured:
        return ("no worker container is here to tell whether kcfix talks to the same Kafka and database",)
    return ()
