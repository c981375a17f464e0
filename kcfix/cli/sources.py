"""Where a payment's story is read, by the services of a run."""

from __future__ import annotations

from kcfix.core.judging.gather import Sources, WorkerContainers
from kcfix.core.logs.worker_lines import newest_lines
from kcfix.services import Services


def sources(services: Services) -> Sources:
    """The database, Kafka and the purchase-worker's containers with what they logged; each opened when it is asked."""

    def containers() -> WorkerContainers:
        found = services.discovery.workers.get(services.flow.purchase_worker, ())
        return WorkerContainers(found, newest_lines(services.docker, found))

    return Sources(
        flow=services.flow,
        database=lambda: services.database,
        kafka=lambda: services.kafka,
        purchase_containers=containers,
        now=services.now,
    )
