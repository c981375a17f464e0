"""All faults. To add one: a making, an undo, a row."""

from __future__ import annotations

from kcfix.drill.faults import containers, messages
from kcfix.drill.faults.fault import Fault
from kcfix.errors import NotFound

_FAULTS = (
    Fault(
        "worker-stopped",
        "purchase-worker is stopped by hand; payments wait, and a plain start skips some (modes 1, 5, 6)",
        containers.stop_worker,
        containers.start_worker,
    ),
    Fault(
        "worker-removed",
        "purchase-worker has no container (mode 5)",
        containers.remove_worker,
        containers.bring_worker_back,
    ),
    Fault(
        "worker-crash-looping",
        "purchase-worker lacks REDIS_URL, dies while it loads, and is started again and again (mode 52)",
        containers.crash_worker,
        containers.uncrash_worker,
    ),
    Fault(
        "broker-down",
        "Kafka is stopped under running workers; payments succeed and their messages never leave (modes 11, 17a)",
        containers.stop_broker,
        containers.start_broker,
    ),
    Fault(
        "database-down",
        "PostgreSQL is stopped under running workers (mode 53)",
        containers.stop_database,
        containers.start_database,
    ),
    Fault(
        "message-never-sent",
        "payment-service wrote a payment's event down and found no broker (mode 18)",
        messages.send_nowhere,
        messages.send_at_last,
    ),
    Fault(
        "offsets-never-committed",
        "no committed offset: the worker was started at the log end and skipped three payments (mode 1)",
        messages.lose_offsets,
        messages.send_skipped,
    ),
    Fault(
        "poison-message",
        "a payment with tier 12 heads a partition with a committed offset: an endless loop (modes 3, 32)",
        messages.poison_protected,
        messages.pass_poison,
    ),
    Fault(
        "poison-message-unprotected",
        "a payment with tier 12 on a partition without a committed offset: skipped, and all behind it (modes 2, 32)",
        messages.poison_unprotected,
        messages.pass_poison,
    ),
)


def faults() -> tuple[Fault, ...]:
    """All faults, in the order in which they are listed."""
    return _FAULTS


def named(name: str) -> Fault:
    """The fault of that name.

    Raises:
        NotFound: there is none. Nothing was changed.
    """
    found = next((f for f in _FAULTS if f.name == name), None)
    if found is None:
        raise NotFound(f"there is no fault {name!r}", hint="kcfix drill faults")
    return found
