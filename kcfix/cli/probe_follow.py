"""Follows one payment through the stages. Only reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from kcfix.core.payments import PaymentId
from kcfix.core.probe import arrived, reached
from kcfix.errors import Unreachable
from kcfix.services import Services

EVERY = 0.5
"""Seconds between two looks at one payment."""
EVERY_PASS = 2.0
"""Seconds between two looks for a new one, each of which opens a connection."""
AHEAD = timedelta(minutes=5)
"""How far beyond the database's clock a confirmation may lie: other clocks stamp it."""


def next_payment(wait: timedelta, services: Services) -> PaymentId | None:
    """The first payment that succeeds from now on, by the database's clock; None if none does in that time.

    Raises:
        Unreachable: the database did not answer at the first look. Later ones may fail: it is looked again.
    """
    database = services.database
    since = database.payments_identity().now
    until = services.monotonic() + wait.total_seconds()
    while True:
        try:
            now = database.payments_identity().now
            with database.payment_pass(since, now + AHEAD, everything=True) as passed:
                first = next(passed.rows, None)
            if first is not None:
                return first.payment_id
        except Unreachable as error:
            services.progress(error.message)
        if services.monotonic() >= until:
            return None
        services.sleep(EVERY_PASS)


def follow(payment: PaymentId, wait: timedelta, services: Services, say: Callable[[str], None]) -> bool:
    """Look until the payment has come through, or the time is over; whether it has.

    A silent database is waited for: what is under way goes on without kcfix.
    """
    until = services.monotonic() + wait.total_seconds()
    told = ""
    while True:
        try:
            facts = services.database.facts([payment])[payment]
        except Unreachable as error:
            told = error.message
            say(told)
        else:
            if arrived(facts):
                return True
            if (now := reached(facts)) != told:
                told = now
                say(told)
        if services.monotonic() >= until:
            return False
        services.sleep(EVERY)
