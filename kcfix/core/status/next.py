"""What to do next about what `status` found: commands to paste, the first one first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.core.repair.remedy import Remedy
from kcfix.core.status.findings import container_health, worker_health
from kcfix.core.status.system import Health, Observed, Unpurchased, WorkerFacts
from kcfix.core.workers import Container, ContainerState
from kcfix.core.working.worker import Sure, WorkState

FEW = 4
"""As many payments are named in a command; more are piped from `status -q`."""


def next_steps(observed: Observed, kcfix: str = "kcfix") -> tuple[str, ...]:
    """The next commands, most pressing first; empty where all is well. `kcfix` is how the operator calls it.

    The order is the one that is safe: first the systems that all else needs, then payments that no worker will settle,
    then the workers, which settle the rest. `kcfix restart` loses nothing that still waits.
    """
    broken = tuple(_silent_systems(observed, kcfix))
    if broken:
        return tuple(dict.fromkeys(broken))
    steps = [*_payments(observed, kcfix), *_workers(observed, kcfix)]
    if observed.docker.error is not None or (not steps and observed.payments.error is not None):
        steps.append(f"{kcfix} config show")
    return tuple(dict.fromkeys(steps))


def _silent_systems(observed: Observed, kcfix: str) -> Iterator[str]:
    down = [c for c in observed.docker.value or () if container_health(c) is Health.BAD]
    startable = [c for c in down if c.state in (ContainerState.EXITED, ContainerState.CREATED, ContainerState.DEAD)]
    if observed.kafka.error is not None:
        # ZooKeeper sorts before nothing in particular: the broker's own container is the last to be started.
        for container in sorted(startable, key=lambda c: c.service == observed.flow.kafka_service):
            yield f"docker start {container.name}"
        for container in down:
            if container.state is ContainerState.PAUSED:
                yield f"docker unpause {container.name}"
            elif container not in startable:
                yield f"docker logs --tail 50 {container.name}"
        if not down:
            brokers = [c for c in observed.docker.value or () if c.service == observed.flow.kafka_service]
            yield f"docker logs --tail 50 {brokers[0].name}" if brokers else f"{kcfix} config show"
    if observed.database.error is not None:
        yield f"{kcfix} config show"


def _payments(observed: Observed, kcfix: str) -> Iterator[str]:
    payments = observed.payments.value
    if payments is None or not payments.unpurchased:
        return
    purchase = observed.workers[0] if observed.workers else None
    worker_is_well = purchase is not None and worker_health(purchase) is Health.GOOD
    mine = [u for u in payments.unpurchased if _needs_repair(u, worker_is_well=worker_is_well)]
    asked = [u for u in payments.unpurchased if u.remedy is Remedy.PERSON]
    if mine:
        yield _repair([u.payment.id for u in mine], len(payments.unpurchased), kcfix)
    elif asked and len(asked) == len(payments.unpurchased):
        yield _repair([u.payment.id for u in asked], len(asked), kcfix)  # shows the evidence, and what a person can say


def _needs_repair(unpurchased: Unpurchased, *, worker_is_well: bool) -> bool:
    """Whether no worker will settle it, so that `repair` has to, or has to say why not."""
    match unpurchased.remedy:
        case Remedy.PERSON | Remedy.ANNOUNCE_AGAIN | Remedy.FLIGHT | Remedy.SETTLED | Remedy.WAIT | Remedy.NOT_FOUND:
            return False
        case Remedy.SUPPLY:
            # AT_RISK waits where a plain start would skip it and `kcfix restart` does not: the worker is the remedy.
            return worker_is_well or unpurchased.kind is not VerdictKind.AT_RISK
        case Remedy.INSERT | Remedy.ANNOUNCE | Remedy.UNKNOWN | None:
            return True


def _repair(ids: Sequence[PaymentId], all_of_them: int, kcfix: str) -> str:
    if len(ids) <= FEW or len(ids) * 4 < all_of_them:
        return f"{kcfix} repair {' '.join(ids[:100])}"
    return f"{kcfix} status -q | {kcfix} repair -"


def _workers(observed: Observed, kcfix: str) -> Iterator[str]:
    for worker in observed.workers:
        health = worker_health(worker)
        if health is Health.GOOD or not worker.stage.required:
            continue
        if observed.docker.error is not None:
            continue  # without Docker nothing can be restarted from here
        name = worker.stage.worker
        if worker.work.state is WorkState.UNPROVEN and health is Health.CAUTION:
            continue
        if _ails(worker, observed.taken_at):
            yield f"{kcfix} logs {name} --errors"
        elif _may_be_a_gap(worker):
            yield f"{kcfix} status --sample 60s"
            continue
        yield f"{kcfix} restart {name}"


def _may_be_a_gap(worker: WorkerFacts) -> bool:
    """Whether a longer look may clear it up: a running container, and nothing that proves it dead."""
    running = any(c.running for c in worker.containers or ())
    return running and worker.work.state in (WorkState.UNPROVEN, WorkState.UNKNOWN) and worker.work.sample is None


YOUNG = timedelta(minutes=2)
"""A container that Docker restarted by itself, and that is younger than this, may be about to crash again."""


def _ails(worker: WorkerFacts, now: datetime) -> bool:
    """Whether a restart alone may not cure it, so that its log should be read first."""
    dead = any(s.name == "alive" and s.sure is Sure.NO for s in worker.work.signs)
    return dead or any(_crashed(c, now) for c in worker.containers or ())


def _crashed(container: Container, now: datetime) -> bool:
    if container.running:
        young = container.started_at is not None and now - container.started_at < YOUNG
        return container.restart_count > 0 and young
    # 137 and 143 are what a stop from outside leaves behind.
    failed = container.exit_code not in (None, 0, 137, 143)
    return failed or container.oom_killed or container.state is ContainerState.RESTARTING
