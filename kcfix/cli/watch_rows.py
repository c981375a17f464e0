"""One look of `watch`, for programs."""

from __future__ import annotations

from collections.abc import Sequence

from kcfix.core.lag import GroupReport
from kcfix.core.status.system import WorkerFacts
from kcfix.core.watching.history import History
from kcfix.core.watching.observation import Observation, PaymentsSeen, restarts
from kcfix.core.watching.progress import Rates
from kcfix.core.watching.watched import Watched


def watch_row(seen: Observation, history: History, watched: Watched, changes: Sequence[str]) -> dict[str, object]:
    """The look as one object. What is unknown is null, and `silent` says which system it rests on and since when."""
    groups = {g.group.group_id: g for g in seen.groups}
    payments = seen.payments.value
    return {
        "generated_at": seen.taken_at,
        "look": history.looks,
        "began_at": watched.began,
        "took_seconds": seen.took,
        "silent": [
            {"system": system, "since": watched.silent_since.get(system, seen.taken_at), "error": why}
            for system, why in seen.silent.items()
        ],
        "workers": [_worker(w, groups.get(w.stage.group), seen, history) for w in seen.workers],
        "payments": None if payments is None else _payments(payments),
        "dead_letters_end_offset": seen.dead_letters_end,
        "changes": list(changes),
    }


def _worker(worker: WorkerFacts, group: GroupReport | None, seen: Observation, history: History) -> dict[str, object]:
    known = group is not None and group.readable
    rates = history.rates(worker.stage.group) if known else Rates(None, None, None)
    log = seen.logs.get(worker.stage.worker)
    return {
        "worker": worker.stage.worker,
        "state": worker.work.state,
        "containers": None if worker.containers is None else len(worker.containers),
        "restart_count": restarts(worker),
        "group": worker.stage.group,
        "group_state": group.group.state if group is not None else None,
        "lag_records": group.lag.known_lag_records if group is not None and known else None,
        "unknown_partitions": group.lag.unknown_partitions if group is not None and known else None,
        "unprotected_partitions": len(group.unprotected) if group is not None and known else None,
        "arrived_per_second": rates.arrived,
        "committed_per_second": rates.committed,
        "catch_up_seconds": rates.catch_up,
        "falls_behind": rates.falls_behind,
        "new_error_lines": log.value.fresh if log is not None and log.value is not None else None,
    }


def _payments(payments: PaymentsSeen) -> dict[str, object]:
    return {
        "without_purchase": payments.without_purchase,
        "not_well": payments.count,
        "in_flight": payments.in_flight,
        "amounts_minor": payments.amounts_minor,
        "oldest_age_seconds": payments.oldest_age,
    }
